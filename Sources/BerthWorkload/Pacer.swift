import BerthMemory

/// Says how many pages may be written now so that a rate is kept: time earns a credit of pages.
///
/// All times are nanoseconds of one clock.
struct Pacer {
    /// Credit for longer than this is lost: who was held up catches up on that much at most.
    ///
    /// Long enough for a busy host's scheduler, short enough not to look like a burst.
    private static let longestCredit = 50e6
    /// Time that a batch should last: waking more often costs more than it smooths.
    private static let batchTime = 1e6

    /// What is kept to, in bytes per second; 0 for no limit.
    private(set) var bytesPerSecond = 0.0
    private var pagesPerNanosecond = 0.0
    private var credit = 0.0
    private var then: UInt64 = 0

    /// Begins, or goes on after time that doesn't count: there is no credit.
    mutating func start(at now: UInt64) {
        credit = 0
        then = now
    }

    /// Changes the rate; 0 for no limit.
    mutating func setRate(bytesPerSecond rate: Double) {
        guard rate != bytesPerSecond else { return }
        bytesPerSecond = rate
        pagesPerNanosecond = rate / Double(targetPageByteCount) / 1e9
        credit = min(credit, 1 + Self.longestCredit * pagesPerNanosecond)
    }

    /// Takes pages to write from the credit, `limit` at most.
    mutating func take(at now: UInt64, atMost limit: Int) -> Int {
        earn(until: now)
        guard bytesPerSecond > 0 else { return limit }
        let pages = credit < Double(limit) ? Int(credit) : limit
        credit -= Double(pages)
        return pages
    }

    /// Leaves out time that doesn't count; the credit from before stays.
    mutating func skip(from begin: UInt64, to end: UInt64) {
        earn(until: begin)
        then = end
    }

    /// How long to wait for a batch that is worth it.
    var delay: UInt64 {
        guard bytesPerSecond > 0 else { return 0 }
        let batch = max(1, Self.batchTime * pagesPerNanosecond)
        // A day is as good as for ever; and what is infinite here doesn't fit an integer.
        return UInt64(min(max(0, (batch - credit) / pagesPerNanosecond), 86_400e9))
    }

    private mutating func earn(until now: UInt64) {
        let elapsed = now > then ? now - then : 0
        then = now
        credit = min(
            credit + Double(elapsed) * pagesPerNanosecond,
            1 + Self.longestCredit * pagesPerNanosecond
        )
    }
}
