/// Holds an average speed: what was sent too early is waited for.
///
/// Credit grows with time up to what a window of 100 ms may carry, as in QEMU, and what was sent is
/// taken from it. A write larger than the credit leaves a debt, so the limit holds also where it is
/// below one batch of pages a window.
struct RateLimit {
    private var last: ContinuousClock.Instant
    private var lastByteCount: UInt64 = 0
    /// Bytes that may go at once; negative: that have gone too early.
    private var credit = 0.0

    init(now: ContinuousClock.Instant) {
        last = now
    }

    /// How long to wait before more may be sent, or nil to go on at once.
    ///
    /// - Parameters:
    ///   - bytes: sent so far.
    ///   - limit: bytes per second; 0 is no limit, and forgives debts.
    mutating func delay(
        now: ContinuousClock.Instant,
        bytes: UInt64,
        limit: UInt64
    ) -> Duration? {
        let earned = (last.duration(to: now) / .seconds(1)) * Double(limit)
        let sent = Double(bytes - lastByteCount)
        last = now
        lastByteCount = bytes
        guard limit > 0 else {
            credit = 0
            return nil
        }
        let window = BandwidthWindow.length / .seconds(1) * Double(limit)
        credit = min(credit + earned, window) - sent
        guard credit < 0 else { return nil }
        // Looked at again at least every second: a clock that jumps costs no more than that.
        return .seconds(min(-credit / Double(limit), 1))
    }

    /// Pages after which to look at the limit again: what a window may carry.
    ///
    /// - Parameter most: where there is no limit.
    static func batchPageCount(limit: UInt64, pageByteCount: Int, most: Int) -> Int {
        guard limit > 0 else { return most }
        let pages = limit / 10 / UInt64(pageByteCount)
        return Int(min(max(pages, 1), UInt64(most)))
    }
}
