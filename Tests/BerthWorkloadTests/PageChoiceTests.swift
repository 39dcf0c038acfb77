import Glibc
import Testing

@testable import BerthWorkload

/// Which pages each pattern chooses.
@Suite(.timeLimit(.minutes(10)))
struct PageChoiceTests {
    @Test(arguments: [WorkloadPattern.increment, .sequential])
    func `patterns in order visit every page, round after round`(_ pattern: WorkloadPattern) {
        var choice = PageChoice(pattern, pageCount: 5, position: 3, seed: 1)
        #expect((0..<12).map { _ in choice.next() } == [3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4])
    }

    @Test func `random visits all pages evenly`() {
        let counts = visits(.random, pageCount: 100, choices: 100_000)
        // Chi-square with 99 degrees of freedom: 99 on average, above 170 once in 100 000 seeds.
        let square = counts.reduce(0.0) { $0 + ($1 - 1000) * ($1 - 1000) / 1000 }
        #expect(square < 170)
        #expect(square > 40, "too even to be random")
    }

    @Test func `zipf visits the page of each rank as often as its law says`() {
        let pageCount = 1000
        let choices = 200_000
        let counts = visits(.zipf, pageCount: pageCount, choices: choices)
        let choice = PageChoice(.zipf, pageCount: pageCount, seed: 1)
        for rank in [0, 1, 2, 5, 10, 30] {
            let share = log((Double(rank) + 2) / (Double(rank) + 1)) / log(Double(pageCount) + 1)
            let expected = share * Double(choices)
            let count = counts[choice.page(ofRank: rank)]
            #expect(abs(count - expected) < 6 * expected.squareRoot(), "rank \(rank)")
        }
        let tail = (500..<1000).reduce(0.0) { $0 + counts[choice.page(ofRank: $1)] }
        #expect(tail > 0 && tail < Double(choices) / 5)
    }

    @Test(arguments: [1, 2, 3, 64, 1000, 4096, 65_537])
    func `each rank has a page of its own`(_ pageCount: Int) {
        let choice = PageChoice(.zipf, pageCount: pageCount, seed: 1)
        let pages = Set((0..<pageCount).map { choice.page(ofRank: $0) })
        #expect(pages.count == pageCount)
        #expect(pages.allSatisfy { (0..<pageCount).contains($0) })
    }

    @Test(arguments: WorkloadPattern.allCases)
    func `a slice of one page is visited`(_ pattern: WorkloadPattern) {
        var choice = PageChoice(pattern, pageCount: 1, seed: 0)
        #expect((0..<100).allSatisfy { _ in choice.next() == 0 })
    }

    private func visits(
        _ pattern: WorkloadPattern,
        pageCount: Int,
        choices: Int
    ) -> [Double] {
        var choice = PageChoice(pattern, pageCount: pageCount, seed: 20_261_121)
        var counts = [Double](repeating: 0, count: pageCount)
        for _ in 0..<choices {
            counts[choice.next()] += 1
        }
        return counts
    }
}
