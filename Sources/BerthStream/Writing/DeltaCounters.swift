import BerthMemory

/// What sending differences has brought so far; QEMU: `xbzrle-cache` of `query-migrate`.
public struct DeltaCounters: Sendable, Equatable {
    /// Bytes of pages that the cache holds.
    public var cacheByteCount: UInt64 = 0
    /// Bytes that pages found in the cache took: of differences, or a page for each overflow.
    public var byteCount: UInt64 = 0
    /// Pages found in the cache: sent as differences, not smaller, or not changed at all.
    public var pageCount: UInt64 = 0
    /// Pages not found in the cache, and so sent whole.
    public var missCount: UInt64 = 0
    /// Misses among the pages sent in the last period, 0 to 1.
    public var missRate: Double = 0
    /// How many times smaller the pages found became in the last period; 0 if there were none.
    public var encodingRate: Double = 0
    /// Pages found whose difference wasn't smaller than the page.
    public var overflowCount: UInt64 = 0

    /// All zero.
    public init() {}
}

/// The counters at the start of the present period.
struct DeltaPeriod {
    private var start = DeltaCounters()
    private var sentPageCount: UInt64 = 0

    /// Notes pages for which something was sent.
    mutating func note(_ sent: SentPages) {
        sentPageCount += UInt64(sent.count - sent.unchangedCount)
    }

    /// Computes the rates of the period, and begins the next.
    ///
    /// A period in which nothing was sent says nothing, and goes on.
    mutating func close(_ counters: inout DeltaCounters) {
        guard sentPageCount > 0 else { return }
        counters.missRate =
            Double(counters.missCount - start.missCount) / Double(sentPageCount)
        let pages = Double(counters.pageCount - start.pageCount)
        let bytes = Double(counters.byteCount - start.byteCount)
        counters.encodingRate =
            bytes > 0 ? pages * Double(targetPageByteCount) / bytes : 0
        start = counters
        sentPageCount = 0
    }
}
