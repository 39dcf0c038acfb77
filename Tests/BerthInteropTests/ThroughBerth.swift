import BerthTestSupport
import Testing

extension Interop {
    /// A guest of real QEMU that moves into Berth, lies there, and goes on in another QEMU.
    @Suite(.requiresBerth, .requiresQEMU10) struct ThroughBerth {
        @Test(.timeLimit(.minutes(2)), arguments: PeerMachineType.allCases, Route.allCases)
        func `QEMU 10 to Berth to QEMU 10`(machine: PeerMachineType, route: Route) throws {
            try relay(from: .qemu, PeerGuest(machine), [route, route])
        }

        @Test(
            .requiresQEMU72,
            .timeLimit(.minutes(2)),
            arguments: PeerMachineType.allCases,
            Route.old
        )
        func `QEMU 7.2 to Berth to QEMU 10`(machine: PeerMachineType, route: Route) throws {
            try relay(from: .oldQEMU, PeerGuest(machine, version: "7.2"), [route, route])
        }

        @Test(
            .timeLimit(.minutes(2)),
            arguments: [[Route.unix, .mappedFile], [.mappedFile, .unix], [.exec, .tcp]]
        )
        func `a guest leaves in another format than it came in`(routes: [Route]) throws {
            try relay(from: .qemu, PeerGuest(.q35), routes)
        }

        @Test(
            .requiresGuest,
            .timeLimit(.minutes(2)),
            arguments: [PeerMachineType.pc, .q35],
            [[Route.unix, .unix], [.mappedFile, .mappedFile], [.sequentialFile, .tcp]]
        )
        func `a counting guest goes on where it was`(
            machine: PeerMachineType,
            routes: [Route]
        ) throws {
            let guest = PeerGuest(machine, firmware: Peers.guest)
            try relayCounting(from: .qemu, guest, routes)
        }

        @Test(
            .requiresGuest,
            .requiresQEMU72,
            .timeLimit(.minutes(2)),
            arguments: [PeerMachineType.pc, .q35]
        )
        func `a counting guest of QEMU 7.2 goes on in QEMU 10`(machine: PeerMachineType) throws {
            let guest = PeerGuest(machine, version: "7.2", firmware: Peers.guest)
            try relayCounting(from: .oldQEMU, guest, [.unix, .unix])
        }

        @Test(.timeLimit(.minutes(2)), arguments: PeerMachineType.allCases)
        func `both ends agree over a return path`(machine: PeerMachineType) throws {
            try relay(from: .qemu, PeerGuest(machine), [.unix, .tcp]) { end in
                try end.setCapability("return-path", true)
            }
        }

        /// Moves a stopped guest with patterned memory through Berth, and compares the memories.
        private func relay(
            from first: PeerProgram,
            _ guest: PeerGuest,
            _ routes: [Route],
            prepare: (PeersMachine) throws -> Void = { _ in }
        ) throws {
            let directory = try PeersDirectory()
            let memory = directory.file("memory")
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 7)

            let source = try PeersMachine(first, guest, in: directory, memoryPath: memory)
            let berth = try PeersMachine(.berth, guest, in: directory, incoming: "defer")
            let last = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            for end in [source, berth, last] { try prepare(end) }

            try routes[0].move(from: source, to: berth, in: directory, hop: 1)
            try expectSameMemory(memory, berth.memoryPath)
            // The guest had not begun; that state has to travel too.
            #expect(try berth.runState() == "prelaunch")

            try routes[1].move(from: berth, to: last, in: directory, hop: 2)
            try expectSameMemory(memory, last.memoryPath)
            #expect(try last.runState() == "prelaunch")
            #expect(try berth.runState() == "postmigrate")
            #expect(try berth.quit() == 0)
        }

        /// Moves a running guest through Berth, and lets it run on.
        private func relayCounting(
            from first: PeerProgram,
            _ guest: PeerGuest,
            _ routes: [Route]
        ) throws {
            let directory = try PeersDirectory()
            let source = try PeersMachine(first, guest, in: directory, paused: false)
            try source.waitForRounds(2)

            // Berth isn't paused: the guest counts as running in it, though nothing executes it.
            let berth = try PeersMachine(
                .berth,
                guest,
                in: directory,
                paused: false,
                incoming: "defer"
            )
            try routes[0].move(from: source, to: berth, in: directory, hop: 1)
            let left = source.memoryPath
            try expectSameMemory(left, berth.memoryPath)
            #expect(try berth.runState() == "running")
            let arrived = try CounterState(memoryPath: berth.memoryPath)

            let last = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            try routes[1].move(from: berth, to: last, in: directory, hop: 2)
            #expect(try CounterState(memoryPath: last.memoryPath) == arrived)
            try last.monitor.execute("cont")
            try last.waitForRounds(2, beyond: arrived)
            try last.monitor.execute("stop")
            #expect(try CounterState.findings(memoryPath: last.memoryPath) == [])
        }
    }
}
