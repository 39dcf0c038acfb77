import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// Moves of a guest that writes its memory all the time.
    @Suite(.requiresBerth, .requiresQEMU10) struct LiveMigration {
        private static let megabytes = 64

        private func busyGuest(_ pattern: PeerWorkload.Pattern) throws -> BusyGuest {
            let workload = PeerWorkload(
                pattern,
                byteCount: Self.megabytes << 20,
                bytesPerSecond: 100 << 20,
                threadCount: 2
            )
            return try BusyGuest(workload, megabytes: Self.megabytes)
        }

        /// Prints the downtime, and expects it to be of the order of the limit.
        ///
        /// Ten times the limit: a machine that has other things to do may hold up any thread for
        /// longer than the limit itself, but guests whose rest didn't fit would take seconds.
        private func reportDowntime(of source: PeersMachine, _ title: String) throws {
            let limit = try source.monitor.execute("query-migrate-parameters")["downtime-limit"]
            let downtime = try source.monitor.execute("query-migrate")["downtime"]
            let (allowed, took) = (try #require(limit?.integer), try #require(downtime?.integer))
            print("\(title): downtime \(took) ms, limit \(allowed) ms")
            #expect(took <= 10 * allowed)
        }

        @Test(
            .timeLimit(.minutes(2)),
            arguments: PeerWorkload.Pattern.allCases,
            [Route.unix, .tcp]
        )
        func `a busy guest moves from Berth to Berth`(
            pattern: PeerWorkload.Pattern,
            route: Route
        ) throws {
            let busy = try busyGuest(pattern)
            let source = try busy.start()
            let destination = try busy.expect(in: .berth)
            try route.move(from: source, to: destination, in: busy.directory, hop: 1)
            try reportDowntime(of: source, "\(pattern.rawValue), \(route.rawValue)")
            try busy.expectSame(in: destination, as: source)
            try destination.monitor.execute("cont")
            try busy.expectGoesOn(in: destination)
        }

        @Test(.timeLimit(.minutes(2)), arguments: [Route.unix, .tcp])
        func `a busy guest moves through QEMU and back`(route: Route) throws {
            let busy = try busyGuest(.increment)
            let source = try busy.start()
            let qemu = try busy.expect(in: .qemu)
            try route.move(from: source, to: qemu, in: busy.directory, hop: 1)
            try reportDowntime(of: source, "to QEMU, \(route.rawValue)")
            try busy.expectSame(in: qemu, as: source)

            let home = try busy.expect(in: .berth)
            try route.move(from: qemu, to: home, in: busy.directory, hop: 2)
            try busy.expectSame(in: home, as: source)
            try home.monitor.execute("cont")
            try busy.expectGoesOn(in: home)
        }

        @Test(.timeLimit(.minutes(2)), arguments: [Route.unix, .tcp])
        func `cancelled or abandoned at any time, it goes on and moves at last`(
            route: Route
        ) throws {
            let busy = try busyGuest(.increment)
            let source = try busy.start()
            var random = SeededGenerator()
            try source.setParameter("max-bandwidth", .integer(32 << 20))
            for attempt in 1...5 {
                let destination = try busy.expect(in: .berth)
                let address: String
                if route == .unix {
                    address = "unix:\(busy.directory.file("socket-\(attempt)"))"
                    try destination.migrateIncoming(from: address)
                } else {
                    try destination.migrateIncoming(from: "tcp:127.0.0.1:0")
                    address = "tcp:127.0.0.1:\(try destination.listeningPort())"
                }
                try source.startMigration(to: address)
                usleep(UInt32.random(in: 0...300_000, using: &random))
                let writes = try source.workload().writes
                let isKilled = Bool.random(using: &random)
                if isKilled {
                    destination.process.kill()
                } else {
                    try source.monitor.execute("migrate_cancel")
                }
                #expect(
                    try source.waitForEnd() == (isKilled ? "failed" : "cancelled"),
                    "attempt \(attempt), BERTH_TEST_SEED=\(random.seed)"
                )
                #expect(try source.runState() == "running")
                try source.waitForWrites(beyond: writes)
            }
            try source.setParameter("max-bandwidth", 0)
            let destination = try busy.expect(in: .berth, paused: false)
            try route.move(from: source, to: destination, in: busy.directory, hop: 9)
            let left = try busy.expectClean(in: source)
            // Every write of the source is in it, and its own came on top.
            #expect(try destination.workload().writes >= left)
            try busy.expectGoesOn(in: destination)
        }

        @Test(.timeLimit(.minutes(2)))
        func `cancelled just before the switch, it goes on`() throws {
            let busy = try busyGuest(.increment)
            let source = try busy.start()
            let destination = try busy.expect(in: .berth)
            let address = "unix:\(busy.directory.file("socket"))"
            try destination.migrateIncoming(from: address)
            try source.setCapability("pause-before-switchover", true)
            try source.startMigration(to: address)
            try source.monitor.waitForEvent("MIGRATION") { $0["status"] == "pre-switchover" }
            let writes = try busy.expectClean(in: source)
            try source.monitor.execute("migrate_cancel")
            let history = try source.history()
            #expect(history == ["cancelling", "RESUME", "cancelled"])
            try source.waitForWrites(beyond: writes)
            try busy.expectGoesOn(in: source)
        }
    }
}
