import BerthTestSupport
import Testing

extension Interop {
    /// Capabilities by which both ends agree on more than the stream itself.
    @Suite(.requiresBerth, .requiresQEMU10) struct AgreementsBetweenEnds {
        private static let pairs: [(PeerProgram, PeerProgram)] = [
            (.berth, .qemu), (.qemu, .berth), (.berth, .berth),
        ]

        @Test(.timeLimit(.minutes(2)))
        func `memory that all ends share isn't sent`() throws {
            let busy = try BusyGuest(
                PeerWorkload(.increment, byteCount: 32 << 20, bytesPerSecond: 64 << 20),
                megabytes: 32,
                memory: .sharedFile
            )
            let source = try busy.start()
            var machines = [source]
            for (hop, program) in [PeerProgram.qemu, .berth].enumerated() {
                let options =
                    program == .berth
                    ? busy.workload.options(memory: busy.guest.machine.memoryName) : []
                let next = try PeersMachine(
                    program,
                    busy.guest,
                    in: busy.directory,
                    memoryPath: source.memoryPath,
                    incoming: "defer",
                    options: options
                )
                let last = try #require(machines.last)
                for end in [last, next] { try end.setCapability("x-ignore-shared", true) }
                try Route.unix.move(from: last, to: next, in: busy.directory, hop: hop)
                let ram = try #require(try last.monitor.execute("query-migrate")["ram"])
                #expect(ram["normal"] == 0, "\(ram)")
                #expect(ram["duplicate"] == 0, "\(ram)")
                machines.append(next)
            }
            try busy.expectSame(in: machines[2], as: source)
            try machines[2].monitor.execute("cont")
            try busy.expectGoesOn(in: machines[2])
        }

        @Test(.timeLimit(.minutes(2)), arguments: pairs)
        func `the destination says when it is ready`(
            from first: PeerProgram,
            to second: PeerProgram
        ) throws {
            let busy = try BusyGuest(
                PeerWorkload(.increment, byteCount: 32 << 20, bytesPerSecond: 64 << 20),
                megabytes: 32,
                memory: .sharedFile
            )
            let source =
                first == .berth
                ? try busy.start()
                : try PeersMachine(first, busy.guest, in: busy.directory, paused: false)
            let destination = try busy.expect(in: second)
            for end in [source, destination] {
                try end.setCapability("return-path", true)
                try end.setCapability("switchover-ack", true)
            }
            try Route.unix.move(from: source, to: destination, in: busy.directory, hop: 1)
            if first == .berth {
                try busy.expectSame(in: destination, as: source)
            } else {
                try expectSameMemory(source.memoryPath, destination.memoryPath)
            }
        }
    }
}
