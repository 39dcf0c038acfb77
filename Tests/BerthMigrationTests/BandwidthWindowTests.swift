import Testing

@testable import BerthMigration

/// The speed of a migration, window by window.
@Suite struct BandwidthWindowTests {
    /// Closes a window for each count of bytes, 100 ms apart.
    private func window(after counts: [UInt64]) -> BandwidthWindow {
        let start = ContinuousClock.now
        var window = BandwidthWindow(now: start)
        var total: UInt64 = 0
        for (index, count) in counts.enumerated() {
            total += count
            let now = start + .milliseconds(100 * (index + 1))
            #expect(window.close(now: now, bytes: total, pages: 0)?.byteCount == count)
        }
        return window
    }

    @Test func `nothing is known before the first window has ended`() {
        var window = BandwidthWindow(now: .now)
        #expect(window.close(now: .now, bytes: 1000, pages: 1) == nil)
        #expect(window.bytesPerSecond == nil)
        #expect(window.steadyBytesPerSecond == nil)
    }

    @Test func `what is shown is the last window, what is counted on the slowest of five`() {
        let window = window(after: [10, 200, 300, 100, 400, 500])
        #expect(window.bytesPerSecond == 5000)
        #expect(window.steadyBytesPerSecond == 1000)
    }

    @Test func `a slow window is forgotten after half a second`() {
        #expect(window(after: [1, 50, 50, 50, 50]).steadyBytesPerSecond == 10)
        #expect(window(after: [1, 50, 50, 50, 50, 50]).steadyBytesPerSecond == 500)
    }
}
