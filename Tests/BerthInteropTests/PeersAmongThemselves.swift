import BerthTestSupport
import Testing

extension Interop {
    /// Real QEMU on both sides: what fails here is the harness or the machine, not Berth.
    @Suite(.requiresQEMU10) struct PeersAmongThemselves {
        @Test(
            .timeLimit(.minutes(2)),
            arguments: PeerMachineType.allCases,
            [Route.sequentialFile, .unix, .tcp, .exec, .mappedFile]
        )
        func `QEMU takes over from QEMU`(machine: PeerMachineType, route: Route) throws {
            let directory = try PeersDirectory()
            let guest = PeerGuest(machine)
            let memory = directory.file("memory")
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 1)

            let source = try PeersMachine(.qemu, guest, in: directory, memoryPath: memory)
            let destination = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            try route.move(from: source, to: destination, in: directory, hop: 1)
            try expectSameMemory(memory, destination.memoryPath)
        }

        @Test(.timeLimit(.minutes(2)), .requiresGuest, arguments: [PeerMachineType.pc, .q35])
        func `a counting guest goes on in another QEMU`(machine: PeerMachineType) throws {
            let directory = try PeersDirectory()
            let guest = PeerGuest(machine, firmware: Peers.guest)
            let source = try PeersMachine(.qemu, guest, in: directory, paused: false)
            try source.waitForRounds(2)
            let destination = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            try Route.unix.move(from: source, to: destination, in: directory, hop: 1)
            #expect(try CounterState.findings(memoryPath: source.memoryPath) == [])

            let arrived = try CounterState(memoryPath: source.memoryPath)
            try destination.monitor.execute("cont")
            try destination.waitForRounds(2, beyond: arrived)
            try destination.monitor.execute("stop")
            #expect(try CounterState.findings(memoryPath: destination.memoryPath) == [])
        }
    }
}
