/// One bit for each target page of one RAM block; a set bit means *dirty* or *present*.
///
/// Owned by one thread at a time. `DirtyLog` is the concurrent counterpart that writers mark.
public struct PageBitmap: Sendable, Equatable {
    /// Number of pages, and so of meaningful bits.
    public let pageCount: Int
    /// Bits in 64-bit words, page 0 in bit 0 of word 0; bits past `pageCount` are always clear.
    public private(set) var words: [UInt64]

    /// Makes a bitmap whose bits are all `value`.
    public init(pageCount: Int, repeating value: Bool = false) {
        self.pageCount = pageCount
        words = Array(repeating: value ? ~0 : 0, count: (pageCount + 63) / 64)
        clearTail()
    }

    /// Makes a bitmap from the bytes of a mapped-ram image: bit i in bit i % 8 of byte i / 8.
    ///
    /// Missing bytes read as zero, bits past `pageCount` are ignored.
    public init(pageCount: Int, littleEndianBytes bytes: [UInt8]) {
        self.init(pageCount: pageCount)
        // Whole words first: a byte at a time it would be the longest part of a load that maps.
        let whole = min(words.count, bytes.count / 8)
        unsafe bytes.withUnsafeBytes { bytes in
            for index in 0..<whole {
                words[index] = UInt64(
                    littleEndian: unsafe bytes.loadUnaligned(
                        fromByteOffset: index * 8,
                        as: UInt64.self
                    )
                )
            }
        }
        for index in whole * 8..<min(bytes.count, words.count * 8) {
            words[index / 8] |= UInt64(bytes[index]) << UInt64(index % 8 * 8)
        }
        clearTail()
    }

    /// The bits as a mapped-ram image stores them, padded to whole 64-bit words.
    public var littleEndianBytes: [UInt8] {
        var bytes = [UInt8]()
        bytes.reserveCapacity(words.count * 8)
        for word in words {
            for shift in stride(from: 0, to: 64, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
            }
        }
        return bytes
    }

    /// Number of set bits.
    public var count: Int {
        words.reduce(0) { $0 + $1.nonzeroBitCount }
    }

    /// Whether the bit of `page` is set; false outside the bitmap.
    public subscript(page: Int) -> Bool {
        guard page >= 0, page < pageCount else { return false }
        return words[page / 64] & (1 << UInt64(page % 64)) != 0
    }

    /// Sets or clears the bits of `pages`, clamped to the bitmap.
    ///
    /// O(words touched).
    public mutating func set(_ pages: Range<Int>, to value: Bool) {
        let range = pages.clamped(to: 0..<pageCount)
        var page = range.lowerBound
        while page < range.upperBound {
            let bit = page % 64
            let count = min(64 - bit, range.upperBound - page)
            let ones = count == 64 ? ~UInt64(0) : (1 << UInt64(count)) - 1
            let mask = ones << UInt64(bit)
            if value {
                words[page / 64] |= mask
            } else {
                words[page / 64] &= ~mask
            }
            page += count
        }
    }

    /// Sets the bits of `pages`, clamped to the bitmap.
    ///
    /// - Returns: how many were not set before.
    public mutating func insert(_ pages: Range<Int>) -> Int {
        let range = pages.clamped(to: 0..<pageCount)
        var fresh = 0
        var page = range.lowerBound
        while page < range.upperBound {
            let bit = page % 64
            let count = min(64 - bit, range.upperBound - page)
            let ones = count == 64 ? ~UInt64(0) : (1 << UInt64(count)) - 1
            fresh += merge(ones << UInt64(bit), at: page / 64)
            page += count
        }
        return fresh
    }

    /// Sets every bit that is set in `other`.
    ///
    /// - Returns: how many were not set before.
    public mutating func formUnion(_ other: PageBitmap) -> Int {
        var fresh = 0
        for (index, word) in other.words.enumerated() where word != 0 {
            fresh += merge(word, at: index)
        }
        return fresh
    }

    /// Adds every set bit of `word` to the 64 pages that start at `wordIndex * 64`.
    ///
    /// - Returns: how many bits were not set before.
    public mutating func merge(_ word: UInt64, at wordIndex: Int) -> Int {
        guard wordIndex >= 0, wordIndex < words.count else { return 0 }
        var fresh = word & ~words[wordIndex]
        if wordIndex == words.count - 1, pageCount % 64 != 0 {
            fresh &= (1 << UInt64(pageCount % 64)) - 1
        }
        words[wordIndex] |= fresh
        return fresh.nonzeroBitCount
    }

    /// The bits that are set here and clear in `other`, a bitmap of as many pages.
    public func subtracting(_ other: PageBitmap) -> PageBitmap {
        var result = self
        for index in 0..<min(words.count, other.words.count) {
            result.words[index] &= ~other.words[index]
        }
        return result
    }

    /// The first run of pages at or after `page` whose bits equal `value`.
    ///
    /// O(words between `page` and the run's end).
    ///
    /// - Parameters:
    ///   - end: nothing at or after this page is looked at.
    ///   - limit: the run is cut at this many pages.
    /// - Returns: nil if there is none.
    public func nextRun(
        of value: Bool = true,
        from page: Int,
        before end: Int = .max,
        limit: Int = .max
    ) -> Range<Int>? {
        let end = min(end, pageCount)
        guard let start = firstPage(of: value, from: page, before: end) else { return nil }
        let stop = limit < end - start ? start + limit : end
        return start..<(firstPage(of: !value, from: start, before: stop) ?? stop)
    }

    private func firstPage(of value: Bool, from page: Int, before end: Int) -> Int? {
        guard page >= 0, page < end else { return nil }
        var index = page / 64
        var word = (value ? words[index] : ~words[index]) & (~0 << UInt64(page % 64))
        while word == 0 {
            index += 1
            guard index * 64 < end else { return nil }
            word = value ? words[index] : ~words[index]
        }
        let found = index * 64 + word.trailingZeroBitCount
        return found < end ? found : nil
    }

    private mutating func clearTail() {
        guard pageCount % 64 != 0, !words.isEmpty else { return }
        words[words.count - 1] &= (1 << UInt64(pageCount % 64)) - 1
    }
}
