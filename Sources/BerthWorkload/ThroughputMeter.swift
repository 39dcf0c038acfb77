import BerthMemory

/// What a thread wrote in a second of late, from windows of 100 ms or a little more.
struct ThroughputMeter {
    private static let window: UInt64 = 100_000_000

    private var begin: UInt64 = 0
    private var pageCount = 0

    /// Begins a window, at nanoseconds of some clock.
    mutating func start(at now: UInt64) {
        begin = now
        pageCount = 0
    }

    /// Counts pages that were written.
    mutating func add(_ pages: Int) {
        pageCount += pages
    }

    /// Bytes per second of a window that is over; nil while it isn't.
    mutating func rate(at now: UInt64) -> UInt64? {
        let time = now &- begin
        guard time >= Self.window else { return nil }
        let rate = Double(pageCount * targetPageByteCount) * 1e9 / Double(time)
        start(at: now)
        return UInt64(rate)
    }
}
