import BerthWorkload
import Foundation
import Testing

/// What a workload costs that writes nothing.
@Suite(.timeLimit(.minutes(10)))
struct WorkloadIdleTests {
    /// So many that some of them have names that no other test's threads have.
    private static let threadCount = 20
    private static let names = Set((10..<threadCount).map { "berth-guest-\($0)" })

    @Test func `a paused workload costs no CPU`() throws {
        let fixture = try WorkloadFixture(.increment, threads: Self.threadCount)
        let workload = try Workload(fixture.plan)
        defer { workload.end() }
        // Threads give themselves their names.
        while try ticks() == nil { usleep(500) }
        try expectIdle()
        fixture.fill(by: workload)
        try expectIdle()
    }

    /// Expects that the threads hardly run for half a second; one that spins would take 50 ticks.
    private func expectIdle() throws {
        let before = try #require(try ticks())
        usleep(500_000)
        let after = try #require(try ticks())
        #expect(after - before < 10)
    }

    /// Processor time of the threads, in hundredths of a second; nil if they aren't all there.
    private func ticks() throws -> Int? {
        var sum = 0
        var found = 0
        for thread in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task") {
            // Threads of other tests may have ended meanwhile.
            let path = "/proc/self/task/\(thread)/stat"
            guard let stat = try? String(contentsOfFile: path, encoding: .utf8) else { continue }
            // proc(5): 1 pid, 2 name in parentheses, ... 14 user time, 15 system time.
            let fields = stat.split(separator: " ")
            let name = fields[1].dropFirst().dropLast()
            guard Self.names.contains(String(name)) else { continue }
            found += 1
            sum += try #require(Int(fields[13])) + #require(Int(fields[14]))
        }
        return found == Self.names.count ? sum : nil
    }
}
