import BerthMemory
import BerthWorkload
import Testing

/// A workload goes on in memory that another one has written.
@Suite(.timeLimit(.minutes(10)))
struct WorkloadRecoveryTests {
    @Test(arguments: WorkloadPattern.allCases)
    func `counts and position go on in copied memory`(_ pattern: WorkloadPattern) throws {
        let source = try WorkloadFixture(pattern, pageCount: 101, threads: 3)
        let first = try Workload(source.plan)
        defer { first.end() }
        for writes in [0, 1, 50, 1000] as [UInt64] {
            if writes > 0 { first.run(forWrites: writes) }
            let before = first.status.writes
            let target = try source.copied()
            let second = try Workload(target.plan, expectsContent: true)
            defer { second.end() }
            second.contentReplaced()
            #expect(second.check() == WorkloadReport(verdict: .clean, writes: before))
            second.resume()
            second.wait { second.status.writes > before + 200 }
            second.stop()
            let report = second.check()
            #expect(report.verdict == .clean)
            #expect(report.writes == second.status.writes)
            #expect((0..<101).allSatisfy { target.count($0) >= source.count($0) })
        }
    }

    @Test func `a workload can be added to memory that one has written`() throws {
        let fixture = try WorkloadFixture(.sequential, threads: 2)
        let first = try Workload(fixture.plan)
        first.run(forWrites: 100)
        first.end()
        let writes = first.status.writes
        let second = try Workload(fixture.plan)
        defer { second.end() }
        #expect(second.check() == WorkloadReport(verdict: .clean, writes: writes))
        second.resume()
        second.wait { second.status.writes > writes + 100 }
        second.stop()
        #expect(second.check() == WorkloadReport(verdict: .clean, writes: second.status.writes))
    }

    @Test func `nothing is written over content that came in corrupt`() throws {
        let source = try WorkloadFixture(.increment, threads: 2)
        let first = try Workload(source.plan)
        defer { first.end() }
        source.fill(by: first, rounds: 2)
        let target = try source.copied()
        // The last page, so that one of the threads finds its slice in order.
        target.put(repeatElement(0, count: 512), into: 60)
        let digest = target.block.digest
        let second = try Workload(target.plan, expectsContent: true)
        defer { second.end() }
        second.contentReplaced()
        second.resume()
        second.wait { !second.status.isRunning }
        let report = second.check()
        #expect(report.verdict == .corrupt)
        #expect(report.faults == [WorkloadReport.Fault(offset: 60 * 4096, kind: .stale)])
        second.stop()
        #expect(second.check().faults == report.faults)
        #expect(second.check().writes == first.status.writes - source.count(60))
        second.resume()
        #expect(!second.status.isRunning)
        #expect(target.block.digest == digest)
        #expect(second.status.writes > 0)

        // Better content is another matter.
        target.put(source.copy(60), into: 60)
        second.contentReplaced()
        second.run(forWrites: 100)
        #expect(second.check().verdict == .clean)
    }

    @Test func `content is checked before the first write also if nobody said that it came`() throws
    {
        let fixture = try WorkloadFixture(.random)
        fixture.words(3)[5] = 1
        let workload = try Workload(fixture.plan, expectsContent: true)
        defer { workload.end() }
        workload.resume()
        workload.wait { !workload.status.isRunning }
        #expect(workload.check().faults == [WorkloadReport.Fault(offset: 3 * 4096, kind: .torn)])
    }

    @Test func `pauses during the check lose nothing`() throws {
        let source = try WorkloadFixture(.increment, pageCount: 2000, threads: 2)
        let first = try Workload(source.plan)
        defer { first.end() }
        source.fill(by: first)
        let target = try source.copied()
        let second = try Workload(target.plan, expectsContent: true)
        defer { second.end() }
        second.contentReplaced()
        for _ in 0..<20 {
            second.resume()
            second.stop()
            #expect(second.check().verdict == .clean)
        }
        second.resume()
        second.wait { second.status.writes > first.status.writes + 100 }
        second.stop()
        #expect(second.check() == WorkloadReport(verdict: .clean, writes: second.status.writes))
    }
}
