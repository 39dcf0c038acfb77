import BerthMemory
import BerthTestSupport
import BerthWorkload
import Glibc
import Testing

/// The interop tests' own check of a workload's pages: it agrees with the workload, and sees what
/// it is there to see.
@Suite(.timeLimit(.minutes(1)))
struct IndependentCheckTests {
    private let pageCount = 64

    private func check(_ fixture: WorkloadFixture) throws -> PeerWorkloadPages {
        let pattern = try #require(PeerWorkload.Pattern(rawValue: "\(fixture.plan.pattern)"))
        var described = PeerWorkload(
            pattern,
            byteCount: fixture.plan.byteCount,
            threadCount: fixture.plan.threadCount
        )
        described.start = fixture.plan.start
        return PeerWorkloadPages(
            in: UnsafeRawBufferPointer(start: fixture.block.base, count: fixture.block.byteCount),
            of: described
        )
    }

    /// A memory that a workload has written for some rounds, all but its first and last page.
    private func written(_ pattern: WorkloadPattern, threads: Int = 1) throws -> WorkloadFixture {
        var fixture = try WorkloadFixture(pattern, pageCount: pageCount, threads: threads)
        fixture.plan.start = targetPageByteCount
        fixture.plan.byteCount -= 2 * targetPageByteCount
        let workload = try Workload(fixture.plan)
        defer { workload.end() }
        workload.run(forWrites: UInt64(3 * pageCount))
        #expect(try check(fixture).writes == Int64(workload.status.writes))
        return fixture
    }

    @Test(arguments: WorkloadPattern.allCases, [1, 3])
    func `what a workload writes is as it should be`(
        pattern: WorkloadPattern,
        threads: Int
    ) throws {
        let pages = try check(try written(pattern, threads: threads))
        #expect(pages.findings == [])
        #expect(pages.writtenPageCount <= pageCount - 2)
    }

    @Test(arguments: WorkloadPattern.allCases)
    func `each kind of fault shows`(pattern: WorkloadPattern) throws {
        let whole = try written(pattern)
        let written = (1..<(pageCount - 1)).filter { whole.count($0) > 0 }
        let page = try #require(written.dropFirst(3).first)
        let other = try #require(written.last)

        let torn = try whole.copied(plan: whole.plan)
        torn.words(page)[511] ^= 1
        #expect(try check(torn).findings.count == 1)
        let misplaced = try whole.copied(plan: whole.plan)
        memcpy(misplaced.words(page), misplaced.words(other), targetPageByteCount)
        #expect(try check(misplaced).findings.isEmpty == false)
        let outside = try whole.copied(plan: whole.plan)
        outside.words(pageCount - 1)[100] = 1
        #expect(try check(outside).findings.count == 1)
        let unstamped = try whole.copied(plan: whole.plan)
        unstamped.words(page)[0] = 0
        #expect(try check(unstamped).findings.isEmpty == false)
    }

    @Test func `a page of an earlier round shows where pages are written in order`() throws {
        let whole = try written(.increment)
        for page in [1, pageCount / 2, pageCount - 2] {
            for step in [UInt64(2), 5] {
                let stale = try whole.copied(plan: whole.plan)
                let count = stale.count(page)
                guard count >= step else { continue }
                for word in stride(from: 0, to: 512, by: 8) {
                    stale.words(page)[word] -= step << 32
                }
                #expect(try check(stale).findings.isEmpty == false, "page \(page), \(step)")
            }
        }
    }
}

extension WorkloadFixture {
    /// Fresh memory with a copy of this content, and a plan of its own.
    fileprivate func copied(plan: WorkloadPlan) throws -> WorkloadFixture {
        var copy = try copied()
        copy.plan.start = plan.start
        copy.plan.byteCount = plan.byteCount
        return copy
    }
}
