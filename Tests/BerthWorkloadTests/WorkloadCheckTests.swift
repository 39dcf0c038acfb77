import BerthMemory
import BerthWorkload
import Testing

/// What is wrong with a page is found, wherever it came from.
@Suite(.timeLimit(.minutes(10)))
struct WorkloadCheckTests {
    private static let inOrder: [WorkloadPattern] = [.increment, .sequential]

    @Test(arguments: WorkloadPattern.allCases)
    func `a line of older content is torn`(_ pattern: WorkloadPattern) throws {
        for line in [1, 30, 63] {
            try spoil(pattern, .torn) { fixture, old in
                fixture.put(old[9][(line * 8)..<(line * 8 + 8)], into: 9, at: line * 8)
                return [9]
            }
        }
    }

    @Test(arguments: WorkloadPattern.allCases)
    func `a first line of older content is torn`(_ pattern: WorkloadPattern) throws {
        try spoil(pattern, .torn) { fixture, old in
            fixture.put(old[9][0..<8], into: 9)
            return [9]
        }
    }

    @Test(arguments: WorkloadPattern.allCases)
    func `every word of a page counts`(_ pattern: WorkloadPattern) throws {
        try spoil(pattern, .torn) { fixture, _ in
            for word in 1..<16 {
                fixture.words(word)[word * 32 + word] ^= 1 << 40
            }
            return Array(1..<16)
        }
    }

    @Test(arguments: inOrder)
    func `an older page is stale`(_ pattern: WorkloadPattern) throws {
        try spoil(pattern, .stale) { fixture, old in
            fixture.put(old[20], into: 20)
            return [20]
        }
    }

    @Test(arguments: inOrder)
    func `a page that became zero is stale`(_ pattern: WorkloadPattern) throws {
        try spoil(pattern, .stale) { fixture, _ in
            fixture.put(repeatElement(0, count: 512), into: 40)
            return [40]
        }
    }

    @Test(arguments: [WorkloadPattern.random, .zipf])
    func `an older page shows in the number of writes`(_ pattern: WorkloadPattern) throws {
        let fixture = try WorkloadFixture(pattern)
        let workload = try Workload(fixture.plan)
        defer { workload.end() }
        workload.run(forWrites: 1000)
        // The page of rank 0 is the most popular one of zipf.
        let old = fixture.copy(0)
        workload.run(forWrites: 3000)
        let lost = fixture.count(0) - (old[0] >> 32)
        #expect(lost > 0)
        fixture.put(old, into: 0)
        let report = workload.check()
        #expect(report.verdict == .clean)
        #expect(report.writes == workload.status.writes - lost)
    }

    @Test(arguments: WorkloadPattern.allCases)
    func `pages that changed places are misplaced`(_ pattern: WorkloadPattern) throws {
        try spoil(pattern, .misplaced) { fixture, _ in
            let (one, other) = (fixture.copy(3), fixture.copy(50))
            fixture.put(one, into: 50)
            fixture.put(other, into: 3)
            return [3, 50]
        }
    }

    @Test(arguments: WorkloadPattern.allCases)
    func `content that is no workload's is misplaced`(_ pattern: WorkloadPattern) throws {
        try spoil(pattern, .misplaced) { fixture, _ in
            fixture.put(repeatElement(0x0102_0304_0506_0708, count: 512), into: 63)
            // A page of this number that was written no time, or more often than can be.
            fixture.words(5)[0] = 5
            fixture.words(6)[0] = UInt64(UInt32.max) << 32 | 6
            return [5, 6, 63]
        }
    }

    @Test func `faults of all kinds are named in order, sixteen at most, and all counted`() throws {
        let fixture = try WorkloadFixture(.increment, threads: 2)
        let workload = try Workload(fixture.plan)
        defer { workload.end() }
        fixture.fill(by: workload, rounds: 3)
        for page in 0..<10 {
            fixture.words(page)[8] = 1
            fixture.put(repeatElement(7, count: 512), into: 40 + page)
        }
        fixture.put(repeatElement(0, count: 512), into: 20)
        let report = workload.check()
        #expect(report.verdict == .corrupt)
        #expect(report.faultCount == 21)
        #expect(report.faults.map { $0.offset / 4096 } == Array(0..<10) + [20] + Array(40..<45))
        #expect(
            report.faults.map(\.kind)
                == repeatElement(.torn, count: 10) + [.stale] + repeatElement(.misplaced, count: 5)
        )
    }

    @Test func `nothing is checked while the guest runs`() throws {
        let workload = try Workload(WorkloadFixture(.increment).plan)
        defer { workload.end() }
        workload.resume()
        workload.wait { workload.status.writes > 0 }
        let report = workload.check()
        #expect(report.verdict == .unchecked)
        #expect(report.writes > 0)
        workload.stop()
    }

    /// Writes some rounds, spoils pages and expects exactly those to be found, and kept.
    private func spoil(
        _ pattern: WorkloadPattern,
        _ kind: WorkloadReport.FaultKind,
        _ damage: (_ fixture: WorkloadFixture, _ old: [[UInt64]]) -> [Int]
    ) throws {
        let fixture = try WorkloadFixture(pattern, threads: 1)
        let workload = try Workload(fixture.plan)
        defer { workload.end() }
        workload.run(forWrites: 1000)
        let old = (0..<64).map { fixture.copy($0) }
        // Until all of them are new, which also the rarest pages become.
        repeat {
            workload.run(forWrites: 1000)
        } while (0..<64).contains { fixture.count($0) < old[$0][0] >> 32 + 2 }
        #expect(workload.check().verdict == .clean)

        let pages = damage(fixture, old)
        let report = workload.check()
        #expect(report.verdict == .corrupt)
        #expect(report.faultCount == pages.count)
        #expect(
            report.faults
                == pages.map {
                    WorkloadReport.Fault(offset: $0 * targetPageByteCount, kind: kind)
                }
        )

        // The evidence is kept.
        let digest = fixture.block.digest
        workload.resume()
        #expect(!workload.status.isRunning)
        #expect(fixture.block.digest == digest)
        #expect(workload.check() == report)
    }
}
