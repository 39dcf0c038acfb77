import Testing

@testable import BerthWorkload

/// What the counts of pages written in order say.
@Suite(.timeLimit(.minutes(10)))
struct StaircaseTests {
    @Test func `every state of a healthy slice is a staircase without misfits`() {
        var counts = [UInt32](repeating: 0, count: 7)
        for write in 0..<50 {
            let staircase = Staircase(fitting: counts)
            #expect(staircase.step == write % 7)
            #expect(misfits(counts) == [])
            counts[write % 7] += 1
        }
    }

    @Test func `a single old or new page stands out wherever it is`() {
        for step in 0..<8 {
            let healthy = (0..<8).map { UInt32($0 < step ? 9 : 8) }
            for page in 0..<8 {
                for wrong: UInt32 in [0, 6, 11] {
                    var counts = healthy
                    counts[page] = wrong
                    #expect(misfits(counts) == [page], "step \(step) page \(page)")
                }
            }
        }
    }

    @Test func `pages that nobody knows of are left out`() {
        let unknown = Staircase.unknown
        #expect(misfits([unknown, 4, 4, unknown, 3, 3]) == [])
        #expect(Staircase(fitting: [unknown, 4, 4, unknown, 3, 3]).step == 3)
        #expect(misfits([unknown, unknown]) == [])
    }

    @Test func `after the highest count comes one`() {
        let top = PageStamp.highestCount
        #expect(PageStamp.count(after: top) == 1)
        #expect(misfits([1, 1, top, top]) == [])
        #expect(Staircase(fitting: [1, 1, top, top]).step == 2)
    }

    private func misfits(_ counts: [UInt32]) -> [Int] {
        let staircase = Staircase(fitting: counts)
        return counts.indices.filter {
            counts[$0] != Staircase.unknown && counts[$0] != staircase.count(at: $0)
        }
    }
}
