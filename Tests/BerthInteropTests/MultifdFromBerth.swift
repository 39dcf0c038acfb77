import BerthTestSupport
import Testing

extension Interop {
    /// Guests that Berth sends over multifd channels.
    @Suite(.requiresBerth, .requiresQEMU10) struct MultifdFromBerth {
        let directory: PeersDirectory

        init() throws { directory = try PeersDirectory() }

        /// Moves a patterned guest from Berth.
        ///
        /// - Returns: the source's figures.
        @discardableResult
        private func move(
            _ guest: PeerGuest,
            to program: PeerProgram,
            _ route: MultifdRoute,
            options: [String] = []
        ) throws -> PeersJSON {
            let memory = directory.file("memory")
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 21)
            let source = try PeersMachine(
                .berth,
                guest,
                in: directory,
                memoryPath: memory,
                options: options
            )
            let destination = try PeersMachine(
                program,
                guest,
                in: directory,
                incoming: "defer",
                options: options
            )
            try route.apply(toSource: source)
            try route.apply(toDestination: destination)
            let info = try source.migrate(to: route.listen(destination, directory))
            try destination.waitForCompletion()
            try expectSameMemory(memory, destination.memoryPath)
            return try #require(info["ram"])
        }

        @Test(.timeLimit(.minutes(2)), arguments: MultifdRoute.all, [PeerProgram.qemu, .berth])
        func `all memory arrives`(_ route: MultifdRoute, _ program: PeerProgram) throws {
            let ram = try move(PeerGuest(.pc), to: program, route)
            let channelBytes = try #require(ram["multifd-bytes"]?.integer)
            let normal = try #require(ram["normal"]?.integer)
            if route.compression == "none" {
                #expect(channelBytes > normal * 4096)
            } else {
                #expect(channelBytes > 1 << 20)
            }
            #expect(try #require(ram["transferred"]?.integer) > channelBytes)
            #expect(ram["dirty-sync-missed-zero-copy"] == 0)
            let zero = try #require(ram["duplicate"]?.integer)
            #expect((zero > 0) == (route.zeroPages != "none"))
        }

        @Test(.timeLimit(.minutes(2)), arguments: MultifdRoute.all.filter { $0.channelCount > 1 })
        func `a machine of an old type is brought into step after each section`(
            _ route: MultifdRoute
        ) throws {
            var route = route
            // Old machine types look for zero pages in the main thread.
            route.zeroPages = "legacy"
            try move(PeerGuest(.pc, version: "8.0"), to: .qemu, route)
        }

        @Test(
            .timeLimit(.minutes(2)),
            .requiresQEMU72,
            arguments: MultifdRoute.all.filter { $0.zeroPages == "legacy" }
        )
        func `QEMU 7_2 takes it`(_ route: MultifdRoute) throws {
            try move(PeerGuest(.pc, version: "7.2"), to: .oldQEMU, route)
        }

        @Test(.timeLimit(.minutes(2)))
        func `the channels know whose they are`() throws {
            let uuid = ["-uuid", "550e8400-e29b-41d4-a716-446655440000"]
            try move(PeerGuest(.q35), to: .qemu, MultifdRoute(), options: uuid)
        }

        @Test(
            .timeLimit(.minutes(2)),
            arguments: [
                MultifdRoute(transport: "unix", channelCount: 1),
                MultifdRoute(transport: "tcp", channelCount: 8),
                MultifdRoute(transport: "tcp", channelCount: 2, zeroPages: "legacy"),
                MultifdRoute(transport: "unix", channelCount: 4, compression: "zstd"),
                MultifdRoute(transport: "unix", channelCount: 2, compression: "zlib"),
            ],
            [PeerProgram.qemu, .berth]
        )
        func `a guest that writes arrives as it was when it stopped`(
            _ route: MultifdRoute,
            _ program: PeerProgram
        ) throws {
            try moveBusy(route, to: program)
        }

        @Test(.timeLimit(.minutes(2)), arguments: [PeerProgram.qemu, .berth])
        func `a guest that writes arrives where each section is a step`(
            _ program: PeerProgram
        ) throws {
            let steps = ["-global", "migration.multifd-flush-after-each-section=on"]
            try moveBusy(MultifdRoute(channelCount: 4), to: program, options: steps)
        }

        private func moveBusy(
            _ route: MultifdRoute,
            to program: PeerProgram,
            options: [String] = []
        ) throws {
            let workload = PeerWorkload(
                .increment,
                byteCount: 64 << 20,
                bytesPerSecond: 100 << 20,
                threadCount: 2
            )
            let busy = try BusyGuest(workload, megabytes: 64)
            let source = try busy.start(options: options)
            let destination = try busy.expect(in: program, options: options)
            try route.apply(toSource: source)
            try route.apply(toDestination: destination)
            // Pass after pass, as long as it may only stop where nothing is left.
            try source.setParameter("downtime-limit", 0)
            try source.startMigration(to: route.listen(destination, directory))
            try source.wait("several passes, or the end") {
                let info = try source.monitor.execute("query-migrate")
                let passes = info["ram"]?["dirty-sync-count"]?.integer ?? 0
                return passes > 4 || info["status"] == "completed"
            }
            try source.setParameter("downtime-limit", 300)
            try source.waitForCompletion()
            try destination.waitForCompletion()
            try busy.expectSame(in: destination, as: source)
        }

        // MARK: Zero-copy

        @Test(.timeLimit(.minutes(2)), arguments: [PeerProgram.qemu, .berth])
        func `pages are sent without a copy, or it is said that they weren't`(
            _ program: PeerProgram
        ) throws {
            let guest = PeerGuest(.pc)
            let memory = directory.file("memory")
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 22)
            let route = MultifdRoute(transport: "tcp", channelCount: 4)
            let source = try PeersMachine(.berth, guest, in: directory, memoryPath: memory)
            let destination = try PeersMachine(program, guest, in: directory, incoming: "defer")
            try route.apply(toSource: source)
            try route.apply(toDestination: destination)
            try source.setCapability("zero-copy-send", true)
            let info = try source.migrate(to: route.listen(destination, directory))
            try destination.waitForCompletion()
            try expectSameMemory(memory, destination.memoryPath)
            // The loopback copies everything.
            let missed = info["ram"]?["dirty-sync-missed-zero-copy"]?.integer
            #expect(try #require(missed) > 0)
        }

        @Test(.timeLimit(.minutes(2)))
        func `zero-copy over a unix socket fails and names what would do`() throws {
            let guest = PeerGuest(.pc)
            let source = try PeersMachine(.berth, guest, in: directory, paused: false)
            let destination = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            for end in [source, destination] { try end.setCapability("multifd", true) }
            try source.setCapability("zero-copy-send", true)
            let address = "unix:\(directory.file("socket"))"
            try destination.migrateIncoming(from: address)
            try source.startMigration(to: address)
            #expect(try source.waitForEnd() == "failed")
            let info = try source.monitor.execute("query-migrate")
            let reason = try #require(info["error-desc"]?.string)
            #expect(reason.contains("zero-copy-send"))
            #expect(reason.contains("TCP"))
            #expect(try source.runState() == "running")
        }
    }
}
