import BerthMemory
import BerthWorkload
import Testing

/// Plans that can't be carried out are refused, and nothing is started.
@Suite(.timeLimit(.minutes(10)))
struct WorkloadPlanTests {
    @Test(arguments: [
        (1, 4096, "isn't made of pages"),
        (-4096, 4096, "isn't made of pages"),
        (0, 4095, "isn't made of pages"),
        (0, 0, "is empty"),
        (0, -4096, "is empty"),
        (65 * 4096, 4096, "ends outside memory 'ram'"),
        (0, 65 * 4096, "ends outside memory 'ram'"),
        (63 * 4096, 2 * 4096, "ends outside memory 'ram'"),
        (4096, Int.max / 4096 * 4096, "ends outside memory 'ram'"),
    ])
    func `a range outside the memory is refused`(start: Int, byteCount: Int, reason: String) throws
    {
        var plan = try WorkloadFixture(.increment).plan
        plan.start = start
        plan.byteCount = byteCount
        let error = #expect(throws: WorkloadError.self) { _ = try Workload(plan) }
        #expect(error?.message.hasPrefix("cannot create workload 'w': its range") == true)
        #expect(error?.message.contains(reason) == true)
        #expect(error?.hint != nil)
    }

    @Test(arguments: [-1, 0, 4, 65])
    func `threads without pages are refused`(_ threads: Int) throws {
        let plan = try WorkloadFixture(.random, pageCount: 3, threads: threads).plan
        let error = #expect(throws: WorkloadError.self) { _ = try Workload(plan) }
        #expect(error?.message.contains("\(threads) threads can't share 3 pages") == true)
        #expect(error?.hint == "ask for 1 to 3 threads")
    }

    @Test(arguments: WorkloadPattern.allCases)
    func `content that is no workload's is refused`(_ pattern: WorkloadPattern) throws {
        let fixture = try WorkloadFixture(pattern)
        _ = fixture.block.takeUntouched()
        fixture.words(7)[511] = 1
        let error = #expect(throws: WorkloadError.self) { _ = try Workload(fixture.plan) }
        #expect(error?.message.contains("holds something else") == true)
        #expect(error?.message.hasSuffix("at byte \(7 * 4096)") == true)

        // Where a migration will bring the content, it doesn't matter.
        let workload = try Workload(fixture.plan, expectsContent: true)
        #expect(workload.check().verdict == .unchecked)
        workload.end()
    }

    @Test func `a range that leaves pages out doesn't touch them`() throws {
        var fixture = try WorkloadFixture(.sequential, pageCount: 10, threads: 3)
        fixture.plan.start = 2 * targetPageByteCount
        fixture.plan.byteCount = 7 * targetPageByteCount
        let workload = try Workload(fixture.plan)
        defer { workload.end() }
        fixture.fill(by: workload, rounds: 2)
        #expect(workload.check().verdict == .clean)
        #expect((0..<10).map { fixture.count($0) > 0 } == (0..<10).map { (2..<9).contains($0) })
    }
}
