import BerthMemory
import BerthSystem
import BerthWorkload
import Testing

/// A thread that a page fault holds, as a background snapshot makes them.
@Suite(.timeLimit(.minutes(10)))
struct WorkloadHeldTests {
    @Test func `a pause that a fault holds up is withdrawn`() throws {
        let fixture = try WorkloadFixture(.increment, pageCount: 16, threads: 2)
        let block = fixture.block
        let workload = try Workload(fixture.plan)
        defer { workload.end() }
        fixture.fill(by: workload)
        let faults = try Userfaultfd(.synchronous)
        // The pages of one of the two threads.
        let memory = UnsafeRawBufferPointer(start: block.base, count: block.byteCount / 2)
        try faults.register(memory)
        defer { faults.unregister(memory) }
        try faults.protect(memory)

        workload.resume()
        #expect(try Poll.wait(for: faults.raw, .input, timeout: nil) == .ready)
        #expect(!workload.pause(within: .milliseconds(10)))
        #expect(!workload.pause(within: .zero))
        // The other thread goes on.
        #expect(workload.status.isRunning)
        let writes = workload.status.writes
        workload.wait { workload.status.writes > writes + 100 }
        #expect(workload.check().verdict == .unchecked)

        try faults.release(memory)
        let before = fixture.count(0)
        workload.wait { fixture.count(0) > before }
        workload.stop()
        #expect(workload.check().verdict == .clean)
    }
}
