import BerthTestSupport
import Glibc
import Testing

extension Interop {
    /// What Berth does when its multifd channels don't get a guest to the other side: the guest
    /// runs on, and the next attempt finds nothing in its way.
    @Suite(.requiresBerth, .requiresQEMU10) struct MultifdFromBerthFailures {
        let directory: PeersDirectory
        let guest = PeerGuest(.pc)
        let memory: String
        let berth: PeersMachine

        init() throws {
            directory = try PeersDirectory()
            memory = directory.file("memory")
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 23)
            berth = try PeersMachine(
                .berth,
                guest,
                in: directory,
                memoryPath: memory,
                paused: false
            )
        }

        /// Starts a destination that waits.
        private func expect(
            _ route: MultifdRoute,
            in program: PeerProgram = .qemu
        ) throws -> (machine: PeersMachine, address: String) {
            let machine = try PeersMachine(program, guest, in: directory, incoming: "defer")
            try route.apply(toDestination: machine)
            return (machine, try route.listen(machine, directory))
        }

        /// Starts a migration that takes long, and waits until pages are under way.
        private func startSlowly(_ route: MultifdRoute, to address: String) throws {
            try route.apply(toSource: berth)
            try berth.setParameter("max-bandwidth", 1_000_000)
            try berth.startMigration(to: address)
            try berth.wait("pages to leave over channels") {
                let ram = try berth.monitor.execute("query-migrate")["ram"]
                return ram?["multifd-bytes"]?.integer ?? 0 > 1 << 19
            }
        }

        /// Moves the guest for good.
        private func expectMoves() throws {
            #expect(try berth.runState() == "running")
            try berth.setParameter("max-bandwidth", 0)
            let route = MultifdRoute(transport: "tcp", channelCount: 3)
            let (machine, address) = try expect(route)
            try route.apply(toSource: berth)
            try berth.migrate(to: address)
            try machine.waitForCompletion()
            try expectSameMemory(memory, machine.memoryPath)
        }

        private func reason() throws -> String {
            try #require(try berth.monitor.execute("query-migrate")["error-desc"]?.string)
        }

        static let routes = [
            MultifdRoute(transport: "unix", channelCount: 4),
            MultifdRoute(transport: "tcp", channelCount: 8, hasReturnPath: true),
            MultifdRoute(transport: "tcp", compression: "zlib", zeroPages: "legacy"),
        ]

        @Test(.timeLimit(.minutes(2)), arguments: routes)
        func `a migration can be cancelled`(_ route: MultifdRoute) throws {
            let (machine, address) = try expect(route)
            try startSlowly(route, to: address)
            try berth.monitor.execute("migrate_cancel")
            #expect(try berth.waitForEnd() == "cancelled")
            machine.process.kill()
            try expectMoves()
        }

        @Test(.timeLimit(.minutes(2)), arguments: routes)
        func `a destination that is killed leaves the guest running`(
            _ route: MultifdRoute
        ) throws {
            let (machine, address) = try expect(route)
            try startSlowly(route, to: address)
            machine.process.kill()
            #expect(try berth.waitForEnd() == "failed")
            #expect(try reason() != "")
            try expectMoves()
        }

        @Test(.timeLimit(.minutes(2)), arguments: routes)
        func `a destination that stands still can be left`(_ route: MultifdRoute) throws {
            let (machine, address) = try expect(route)
            try startSlowly(route, to: address)
            machine.process.signal(SIGSTOP)
            try berth.setParameter("max-bandwidth", 0)
            try berth.monitor.execute("migrate_cancel")
            #expect(try berth.waitForEnd() == "cancelled")
            machine.process.kill()
            try expectMoves()
        }

        @Test(.timeLimit(.minutes(2)), arguments: [PeerProgram.qemu, .berth])
        func `one channel that breaks ends the migration`(_ program: PeerProgram) throws {
            for broken in [0, 1, 3] {
                let route = MultifdRoute(channelCount: 3)
                let (machine, address) = try expect(route, in: program)
                // The main channel connects first, the others in the order of their ids.
                let proxy = try MultifdProxy(
                    to: String(address.dropFirst("unix:".count)),
                    listeningAt: directory.file("proxy-\(broken)")
                )
                try startSlowly(route, to: "unix:\(proxy.path)")
                proxy.breakConnection(broken)
                try berth.setParameter("max-bandwidth", 0)
                #expect(try berth.waitForEnd() == "failed")
                let reason = try reason()
                #expect(reason.contains("multifd channel") || broken == 0 || program == .berth)
                proxy.end()
                machine.process.kill()
                berth.monitor.dropEvents()
            }
            try expectMoves()
        }

        @Test(.timeLimit(.minutes(2)))
        func `a destination of another compression fails the migration`() throws {
            // Over unix sockets, which hold less than the guest has: QEMU 10.0.2 closes its channels
            // then, but its main thread may hang, and wouldn't tell a source that has sent all.
            var route = MultifdRoute(compression: "zlib", hasReturnPath: true)
            let (machine, address) = try expect(route)
            route.compression = "zstd"
            try route.apply(toSource: berth)
            try berth.startMigration(to: address)
            #expect(try berth.waitForEnd() == "failed")
            machine.process.kill()
            try expectMoves()
        }

        @Test(.timeLimit(.minutes(2)))
        func `a destination that waits for more channels can be left`() throws {
            var route = MultifdRoute(transport: "unix", channelCount: 4)
            let (machine, address) = try expect(route)
            route.channelCount = 2
            try route.apply(toSource: berth)
            try berth.startMigration(to: address)
            try berth.monitor.waitForEvent("MIGRATION") { $0["status"] == "active" }
            try berth.monitor.execute("migrate_cancel")
            #expect(try berth.waitForEnd() == "cancelled")
            machine.process.kill()
            try expectMoves()
        }
    }
}
