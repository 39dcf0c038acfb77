/// How often each page of a slice was written if its pages are written in order, round after round.
///
/// Pages before the step have been written in this round and have `upper`; the others have one
/// less. So every page that is older or newer than it should be stands out.
struct Staircase: Equatable {
    /// In a list of counts: nobody knows.
    static let unknown = UInt32.max

    /// The page that is written next.
    private(set) var step: Int
    /// Count of the pages before the step.
    private(set) var upper: UInt32
    /// Count of the pages from the step on.
    private(set) var lower: UInt32

    /// How often a page was written if all is well.
    func count(at page: Int) -> UInt32 {
        page < step ? upper : lower
    }

    /// The staircase that fits the counts of a slice best: the fewest of them contradict it.
    init(fitting counts: [UInt32]) {
        if let perfect = Staircase(matching: counts) {
            self = perfect
            return
        }
        let known = counts.filter { $0 != Self.unknown }.sorted()
        // While most pages are right, the one in the middle is.
        let middle = known.isEmpty ? 0 : known[known.count / 2]
        let asLower = Self.best(upper: PageStamp.count(after: middle), middle, counts)
        let asUpper = Self.best(upper: middle, PageStamp.count(before: middle), counts)
        self = asLower.misfits <= asUpper.misfits ? asLower.staircase : asUpper.staircase
    }

    private init(step: Int, upper: UInt32, lower: UInt32) {
        self.step = step
        self.upper = upper
        self.lower = lower
    }

    /// The staircase that fits without exception.
    private init?(matching counts: [UInt32]) {
        guard let first = counts.first, first != Self.unknown else { return nil }
        guard let step = counts.firstIndex(where: { $0 != first }) else {
            self.init(step: 0, upper: PageStamp.count(after: first), lower: first)
            return
        }
        let lower = counts[step]
        guard lower != Self.unknown, PageStamp.count(after: lower) == first,
            counts[step...].allSatisfy({ $0 == lower })
        else { return nil }
        self.init(step: step, upper: first, lower: lower)
    }

    private static func best(
        upper: UInt32,
        _ lower: UInt32,
        _ counts: [UInt32]
    ) -> (staircase: Staircase, misfits: Int) {
        var misfits = 0
        for count in counts where count != unknown && count != lower { misfits += 1 }
        var best = (step: 0, misfits: misfits)
        for (page, count) in counts.enumerated() where count != unknown {
            misfits += (count != upper ? 1 : 0) - (count != lower ? 1 : 0)
            if misfits < best.misfits { best = (page + 1, misfits) }
        }
        return (Staircase(step: best.step, upper: upper, lower: lower), best.misfits)
    }
}
