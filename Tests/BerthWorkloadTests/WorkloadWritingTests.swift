import BerthMemory
import BerthSystem
import BerthWorkload
import Glibc
import Testing

/// What threads do while they may write, and that they don't when they may not.
@Suite(.timeLimit(.minutes(10)))
struct WorkloadWritingTests {
    @Test(arguments: WorkloadPattern.allCases)
    func `after a pause no byte changes and every write is marked`(
        _ pattern: WorkloadPattern
    ) throws {
        let fixture = try WorkloadFixture(pattern, pageCount: 500, threads: 3)
        let block = fixture.block
        let workload = try Workload(fixture.plan)
        defer { workload.end() }
        #expect(!workload.status.isRunning)
        for round in 1...5 {
            let before = (0..<block.pageCount).map { fixture.words($0)[0] }
            var marked = PageBitmap(pageCount: block.pageCount)
            _ = block.dirtyLog.collect(into: &marked)
            marked = PageBitmap(pageCount: block.pageCount)

            workload.run(forWrites: 100)
            let digest = block.digest
            _ = block.dirtyLog.collect(into: &marked)
            #expect(
                (0..<block.pageCount).allSatisfy {
                    marked[$0] == (fixture.words($0)[0] != before[$0])
                }
            )
            let writes = workload.status.writes
            #expect(workload.check() == WorkloadReport(verdict: .clean, writes: writes))
            #expect(writes >= UInt64(round) * 100)
            usleep(5000)
            #expect(block.digest == digest)
            #expect(workload.status.writes == writes)
            #expect(block.dirtyLog.collect(into: &marked) == 0)
        }
    }

    @Test(arguments: [1, 3])
    func `increment is a staircase wherever it stops`(_ threads: Int) throws {
        let fixture = try WorkloadFixture(.increment, pageCount: 10, threads: threads)
        let workload = try Workload(fixture.plan)
        defer { workload.end() }
        for _ in 0..<200 {
            workload.run(forWrites: 1)
            #expect(workload.check().verdict == .clean)
        }
        let counts = (0..<10).map { fixture.count($0) }
        #expect(counts.reduce(0, +) == workload.status.writes)
        if threads == 1 {
            #expect(counts == counts.sorted(by: >))
            #expect(counts[0] - counts[9] <= 1)
        }
    }

    @Test func `pausing and resuming twice is like once`() throws {
        let workload = try Workload(WorkloadFixture(.random).plan)
        defer { workload.end() }
        workload.stop()
        workload.resume()
        workload.resume()
        workload.wait { workload.status.writes > 10 }
        #expect(workload.status.isRunning)
        workload.stop()
        for _ in 0..<100 {
            #expect(workload.pause(within: .zero))
        }
        #expect(!workload.status.isRunning)
    }

    @Test func `what has ended stays so`() throws {
        let fixture = try WorkloadFixture(.random)
        let workload = try Workload(fixture.plan)
        workload.resume()
        workload.end()
        workload.end()
        let digest = fixture.block.digest
        workload.resume()
        #expect(!workload.status.isRunning)
        #expect(workload.pause(within: .zero))
        #expect(fixture.block.digest == digest)
    }

    @Test(arguments: [1, 4])
    func `no more is written than the rate allows`(_ threads: Int) throws {
        let rate = 64 << 20
        let fixture = try WorkloadFixture(.increment, rate: UInt64(rate), threads: threads)
        let workload = try Workload(fixture.plan)
        defer { workload.end() }
        let begin = ContinuousClock.now
        for _ in 0..<4 {
            workload.run(forWrites: 500)
        }
        let seconds = (ContinuousClock.now - begin) / .seconds(1)
        #expect(Double(workload.status.writes) <= seconds * Double(rate / 4096) + 4)
    }

    @Test func `a limit slows its own thread only`() throws {
        let fixture = try WorkloadFixture(.sequential, pageCount: 20, threads: 2)
        let workload = try Workload(fixture.plan)
        defer { workload.end() }
        workload.limitDirtyRate(thread: 1, bytesPerSecond: 4096)
        workload.limitDirtyRate(thread: 7, bytesPerSecond: 4096)
        #expect(workload.status.threads.map(\.limit) == [nil, 4096])
        let begin = ContinuousClock.now
        workload.run(forWrites: 5000)
        let seconds = (ContinuousClock.now - begin) / .seconds(1)
        let limited = (10..<20).reduce(0) { $0 + fixture.count($1) }
        #expect(Double(limited) <= seconds + 1)

        workload.limitDirtyRate(thread: 1, bytesPerSecond: nil)
        workload.resume()
        workload.wait { (10..<20).allSatisfy { fixture.count($0) > 20 } }
        workload.stop()
    }

    @Test func `a throttle lowers what is written`() throws {
        let rate = 64 << 20
        let fixture = try WorkloadFixture(.increment, rate: UInt64(rate))
        let workload = try Workload(fixture.plan)
        defer { workload.end() }
        workload.throttle(percentage: 99)
        #expect(workload.status.throttle == 99)
        let begin = ContinuousClock.now
        workload.resume()
        workload.wait { ContinuousClock.now - begin > .seconds(1) }
        workload.stop()
        let seconds = (ContinuousClock.now - begin) / .seconds(1)
        // A hundredth is what it should be; a busy host makes that inexact.
        #expect(Double(workload.status.writes) < seconds * Double(rate / 4096) / 4)

        // Sleeps of nearly a second end when the throttle does.
        workload.throttle(percentage: 0)
        #expect(workload.status.throttle == 0)
        workload.run(forWrites: 5000)
        workload.throttle(percentage: 1000)
        #expect(workload.status.throttle == 99)
    }

    @Test func `throughput and the longest write are those of late`() throws {
        let fixture = try WorkloadFixture(.zipf, rate: 16 << 20, threads: 2)
        let workload = try Workload(fixture.plan)
        defer { workload.end() }
        #expect(workload.status.longestWrite == 0)
        workload.resume()
        workload.wait { workload.status.threads.allSatisfy { $0.throughput > 0 } }
        let status = workload.status
        #expect(status.longestWrite > 0)
        workload.stop()
        #expect(workload.status.throughput == 0)
        #expect(workload.status.threads.map(\.throughput) == [0, 0])
        #expect(workload.status.longestWrite > 0)
        workload.beginMeasurement()
        #expect(workload.status.longestWrite == 0)
    }
}
