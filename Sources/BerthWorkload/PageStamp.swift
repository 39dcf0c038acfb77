/// What the first word of a workload's page says: how often the page was written, and which it is.
///
/// The count is in the upper half. A page that was never written has no stamp but a zero.
struct PageStamp: Equatable {
    /// The highest count; the next one is 1 again.
    static let highestCount = UInt32.max - 1

    let rawValue: UInt64

    init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    init(count: UInt32, page: UInt32) {
        rawValue = UInt64(count) << 32 | UInt64(page)
    }

    /// How often the page was written.
    var count: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }

    /// Number of the page in its block.
    var page: UInt32 { UInt32(truncatingIfNeeded: rawValue) }

    /// What follows a count when the page is written once more.
    @inline(__always)
    static func count(after count: UInt32) -> UInt32 {
        count >= highestCount ? 1 : count &+ 1
    }

    /// What a page was before it had this count, as far as the count tells.
    static func count(before count: UInt32) -> UInt32 {
        count <= 1 ? 0 : count &- 1
    }
}
