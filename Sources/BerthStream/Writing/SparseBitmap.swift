import BerthMemory

/// One bit for each page of a block, in parts that cost memory once one of their bits is set.
///
/// A stream can claim a block of many TiB in a few bytes; only pages that come may cost anything.
struct SparseBitmap {
    /// Bytes of the bitmap that one part holds: 32 KiB stand for 1 GiB of the guest.
    static let partByteCount = 32 << 10
    private static let partPageCount = partByteCount * 8

    private let pageCount: Int
    private var parts: [PageBitmap?]

    /// Makes a bitmap whose bits are clear.
    init(pageCount: Int) {
        self.pageCount = pageCount
        let count = pageCount / Self.partPageCount
        parts = Array(
            repeating: nil,
            count: pageCount % Self.partPageCount == 0 ? count : count + 1
        )
    }

    /// Number of parts.
    var partCount: Int { parts.count }

    /// Number of set bits.
    var count: Int { parts.reduce(0) { $0 + ($1?.count ?? 0) } }

    /// Whether the bit of `page` is set; false outside the bitmap.
    subscript(page: Int) -> Bool {
        guard page >= 0, page < pageCount else { return false }
        return parts[page / Self.partPageCount]?[page % Self.partPageCount] ?? false
    }

    /// Sets or clears the bits of `pages`, clamped to the bitmap.
    mutating func set(_ pages: Range<Int>, to value: Bool) {
        let pages = pages.clamped(to: 0..<pageCount)
        var page = pages.lowerBound
        while page < pages.upperBound {
            let index = page / Self.partPageCount
            let start = index * Self.partPageCount
            let end = min(pages.upperBound, start + Self.partPageCount)
            if value, parts[index] == nil {
                parts[index] = PageBitmap(pageCount: pageCount(ofPart: index))
            }
            parts[index]?.set(page - start..<end - start, to: value)
            page = end
        }
    }

    /// The bytes of one part as a mapped-ram image stores them, padded to whole 64-bit words.
    func bytes(ofPart index: Int) -> [UInt8] {
        parts[index]?.littleEndianBytes
            ?? Array(repeating: 0, count: (pageCount(ofPart: index) + 63) / 64 * 8)
    }

    /// All bits in one piece; costs memory for all of them.
    var whole: PageBitmap {
        var bytes: [UInt8] = []
        for index in 0..<partCount {
            bytes += self.bytes(ofPart: index)
        }
        return PageBitmap(pageCount: pageCount, littleEndianBytes: bytes)
    }

    private func pageCount(ofPart index: Int) -> Int {
        min(pageCount - index * Self.partPageCount, Self.partPageCount)
    }
}
