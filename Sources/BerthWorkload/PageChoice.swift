import Glibc

/// Chooses the pages of a slice, one after the other, as a pattern wants.
struct PageChoice {
    private let pattern: WorkloadPattern
    private let pageCount: Int
    private let logarithm: Double
    private var state: UInt64
    private var position: Int

    /// Begins to choose.
    ///
    /// - Parameters:
    ///   - pageCount: pages in the slice, at least 1.
    ///   - position: where patterns that go by order begin.
    ///   - seed: decides what patterns that go by chance choose.
    init(_ pattern: WorkloadPattern, pageCount: Int, position: Int = 0, seed: UInt64) {
        self.pattern = pattern
        self.pageCount = pageCount
        self.position = position
        logarithm = log(Double(pageCount) + 1)
        // xorshift stays at zero for ever.
        state = seed == 0 ? 0x9e37_79b9_7f4a_7c15 : seed
    }

    /// The next page, counted from the start of the slice.
    @inline(__always)
    mutating func next() -> Int {
        switch pattern {
        case .increment, .sequential:
            let page = position
            position = page &+ 1 == pageCount ? 0 : page &+ 1
            return page
        case .random:
            return evenly()
        case .zipf:
            return page(ofRank: rank())
        }
    }

    /// Where the page of a rank is.
    ///
    /// Popular pages are spread over the slice, as they are in a guest: multiplication by a prime
    /// that doesn't divide the number of pages is a permutation of them.
    @inline(__always)
    func page(ofRank rank: Int) -> Int {
        let prime: UInt64 = 2_654_435_761
        return Int(truncatingIfNeeded: UInt64(truncatingIfNeeded: rank) &* prime % count)
    }

    private var count: UInt64 { UInt64(truncatingIfNeeded: pageCount) }

    /// Zipf's law with exponent 1 by its continuous inverse.
    ///
    /// Rank k has ln((k + 2) / (k + 1)) / ln(n + 1) of the choices, nearly 1 / (k + 1).
    @inline(__always)
    private mutating func rank() -> Int {
        let unit = Double(random() >> 11) * 0x1p-53
        let rank = exp(unit * logarithm) - 1
        // Rounding may reach the end of the range, but not leave 0...pageCount.
        return min(Int(max(rank, 0)), pageCount &- 1)
    }

    @inline(__always)
    private mutating func evenly() -> Int {
        Int(truncatingIfNeeded: random().multipliedFullWidth(by: count).high)
    }

    /// Marsaglia's xorshift64, with Vigna's multiplication.
    @inline(__always)
    private mutating func random() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }
}
