/// Counts bytes in windows of 100 ms: the figures of `query-migrate`.
///
/// The formulas and the length of the window are QEMU's, so that its figures and Berth's compare.
struct BandwidthWindow {
    /// Length of a window.
    static let length = Duration.milliseconds(100)

    private var start: ContinuousClock.Instant
    private var bytesAtStart: UInt64 = 0
    private var pagesAtStart: UInt64 = 0
    /// Bytes per second measured over the last whole window; nil before its end.
    private(set) var bytesPerSecond: Double?
    /// The same of the last windows, the latest last.
    private var recent: [Double] = []
    /// Half a second.
    private static let recentCount = 5

    /// Bytes per second that can be counted on: the least of the last half second; nil before the
    /// first window has ended.
    ///
    /// One window is easily a lucky one: memory that the destination touches for the first time, or
    /// a file that is written back, makes the speed vary tenfold from one to the next.
    var steadyBytesPerSecond: Double? { recent.min() }

    init(now: ContinuousClock.Instant) {
        start = now
    }

    /// Closes the window if it has lasted long enough.
    ///
    /// - Returns: its figures, or nil while it goes on.
    mutating func close(
        now: ContinuousClock.Instant,
        bytes: UInt64,
        pages: UInt64
    ) -> (megabitsPerSecond: Double, pagesPerSecond: UInt64, byteCount: UInt64)? {
        let elapsed = start.duration(to: now)
        guard elapsed >= Self.length else { return nil }
        let seconds = elapsed / .seconds(1)
        let byteCount = bytes - bytesAtStart
        let rate = Double(byteCount) / seconds
        bytesPerSecond = rate
        if recent.count == Self.recentCount { recent.removeFirst() }
        recent.append(rate)
        let pageRate = Double(pages - pagesAtStart) / seconds
        start = now
        bytesAtStart = bytes
        pagesAtStart = pages
        return (rate * 8 / 1_000_000, UInt64(pageRate), byteCount)
    }
}
