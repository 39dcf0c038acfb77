/// Pages that lie one behind the other both in memory and in a block, gathered for one write.
@safe
struct PageExtent {
    /// How far pages are gathered.
    struct Limit {
        /// Whether writes bypass the page cache.
        let isDirect: Bool
        /// Most bytes of one write.
        let byteCount: Int
        /// Most bytes of zero pages between two pieces that are written with them.
        let gapByteCount: Int

        /// - Parameter isDirect: whether writes bypass the page cache. A write then costs as much
        ///   as 140 KiB at full speed, and 4 MiB reach it; through the page cache a large write
        ///   gains nothing, and zeros stay holes.
        init(isDirect: Bool) {
            self.isDirect = isDirect
            byteCount = isDirect ? 4 << 20 : 1 << 20
            gapByteCount = isDirect ? 64 << 10 : 0
        }
    }

    /// Index of the block.
    var block = 0
    /// Offset of the first page in the block.
    var offset = 0
    /// Bytes of all pages; 0 if there are none.
    var byteCount = 0
    /// Where the first page lies.
    var base: UnsafeMutableRawPointer?

    /// No pages.
    init() {}

    /// The pages of a run that lies in one piece.
    init(_ run: DataRun, _ base: UnsafeMutableRawPointer) {
        block = run.block
        offset = run.offset
        byteCount = run.byteCount
        unsafe self.base = base
    }

    /// Adds pages that follow, perhaps after a gap of pages that need not be written.
    ///
    /// - Returns: the gap's range of bytes in the block, or nil if the two don't join.
    mutating func join(_ next: PageExtent, within limit: Limit) -> Range<Int>? {
        let end = offset + byteCount
        guard byteCount > 0, next.block == block, next.offset >= end,
            next.offset - end <= limit.gapByteCount,
            next.offset + next.byteCount - offset <= limit.byteCount,
            let base = unsafe base, unsafe base + (next.offset - offset) == next.base
        else { return nil }
        byteCount = next.offset + next.byteCount - offset
        return end..<next.offset
    }
}
