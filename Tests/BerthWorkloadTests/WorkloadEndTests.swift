import BerthWorkload
import Testing

/// The end of workloads, whatever their threads are doing.
@Suite(.timeLimit(.minutes(1)))
struct WorkloadEndTests {
    @Test(arguments: [0, 50], [UInt64(0), 4 << 20])
    func `threads end while they write or sleep`(throttle: Int, rate: UInt64) throws {
        for _ in 0..<20 {
            let fixture = try WorkloadFixture(.increment, rate: rate, threads: 2)
            let workload = try Workload(fixture.plan)
            workload.throttle(percentage: throttle)
            workload.resume()
            workload.wait { workload.status.writes > 0 }
            workload.end()
            #expect(!workload.status.isRunning)
        }
    }
}
