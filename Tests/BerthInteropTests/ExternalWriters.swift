import BerthTestSupport
import Glibc
import Testing

extension Interop {
    /// A process of its own writes an endpoint's memory while the guest is migrated.
    @Suite(.requiresBerth) struct ExternalWriters {
        /// The program writes as the workload `increment` does, which so can judge it.
        private func makeGuest() throws -> BusyGuest {
            try BusyGuest(
                PeerWorkload(.increment, byteCount: 32 << 20),
                megabytes: 32,
                memory: .memfd
            )
        }

        private func startSource(_ busy: BusyGuest, _ socket: String) throws -> PeersMachine {
            let memory = busy.guest.machine.memoryName
            return try PeersMachine(
                .berth,
                busy.guest,
                in: busy.directory,
                paused: false,
                options: ["-object", "external-writer,id=ew,memdev=\(memory),path=\(socket)"]
            )
        }

        private func startWriter(_ busy: BusyGuest, _ socket: String) throws -> PeersProcess {
            let program = try #require(
                BuiltProgram.path("external-writer-example"),
                "the program external-writer-example is built with the tests"
            )
            return try PeersProcess([program, socket], in: busy.directory)
        }

        private func waitForWriter(_ machine: PeersMachine) throws {
            for _ in 0..<6000 {
                let answer = try machine.monitor.execute("x-query-external-writer")
                if answer[0]?["state"] == "running", answer[0]?["tracked"] == true { return }
                usleep(10_000)
            }
            throw PeerFailure("the writer never ran")
        }

        @Test(.timeLimit(.minutes(2)))
        func `what another process writes arrives, all of it`() throws {
            let busy = try makeGuest()
            let socket = busy.directory.file("writer")
            let source = try startSource(busy, socket)
            let writer = try startWriter(busy, socket)
            try waitForWriter(source)
            let tracking = try source.monitor.execute("x-query-dirty-tracking")
            #expect(tracking[0]?["mechanisms"] == ["software", "peer"], "\(tracking)")

            // Half a second for a round, so that there are writes to be found; all of the memory may
            // be left for the end.
            try source.monitor.execute(
                "migrate-set-parameters",
                ["max-bandwidth": 67_108_864, "downtime-limit": 2000]
            )
            let destination = try busy.expect(in: .berth)
            try Route.unix.move(from: source, to: destination, in: busy.directory, hop: 1)
            #expect(try source.digest() == destination.digest())
            let arrived = try busy.expectClean(in: destination)
            #expect(arrived > 0)

            // Without its port the program ends, and says how much it has written.
            try source.monitor.execute("object-del", ["id": "ew"])
            #expect(try writer.waitForExit() == 0)
            #expect(writer.output.contains("wrote \(arrived) pages"), "\(arrived)")
        }

        @Test(.timeLimit(.minutes(1)))
        func `a snapshot of what it writes is refused`() throws {
            let busy = try makeGuest()
            let socket = busy.directory.file("writer")
            let source = try startSource(busy, socket)
            let writer = try startWriter(busy, socket)
            try waitForWriter(source)
            try source.setCapability("background-snapshot", true)
            let image = busy.directory.file("image")
            let error = #expect(throws: QMPRefusal.self) {
                try source.monitor.execute("migrate", ["uri": .string("file:\(image)")])
            }
            #expect(error?.description.contains("'ew'") == true, "\(String(describing: error))")
            #expect(try source.runState() == "running")
            writer.kill()
        }
    }
}
