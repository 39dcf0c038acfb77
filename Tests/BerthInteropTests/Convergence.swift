import BerthTestSupport
import Testing

extension Interop {
    /// What helps a migration to an end whose guest writes faster than it can be sent.
    @Suite(.requiresBerth, .requiresQEMU10) struct Convergence {
        @Test(.timeLimit(.minutes(2)))
        func `pages that changed little go to QEMU as deltas`() throws {
            let busy = try BusyGuest(
                PeerWorkload(.increment, byteCount: 16 << 20, bytesPerSecond: 100 << 20),
                megabytes: 32
            )
            let source = try busy.start()
            let qemu = try busy.expect(in: .qemu)
            for end in [source, qemu] { try end.setCapability("xbzrle", true) }
            try source.setParameter("max-bandwidth", .integer(64 << 20))
            try source.setParameter("downtime-limit", 1)
            let address = "unix:\(busy.directory.file("socket"))"
            try qemu.migrateIncoming(from: address)
            try source.startMigration(to: address)
            try source.monitor.waitForEvent("MIGRATION_PASS") { $0["pass"]?.integer == 5 }
            try source.setParameter("downtime-limit", 10_000)
            let info = try source.waitForCompletion()
            let pages = info["xbzrle-cache"]?["pages"]?.integer
            #expect(pages ?? 0 > 0, "\(info)")
            try qemu.waitForCompletion()
            try busy.expectSame(in: qemu, as: source)
        }

        @Test(
            .requiresGuest,
            .requiresQEMU72,
            .timeLimit(.minutes(2)),
            arguments: [PeerProgram.qemu, .oldQEMU]
        )
        func `deltas of QEMU arrive`(program: PeerProgram) throws {
            let directory = try PeersDirectory()
            let version = program == .oldQEMU ? "7.2" : "10.0"
            let guest = PeerGuest(.pc, version: version, firmware: Peers.guest)
            let source = try PeersMachine(program, guest, in: directory, paused: false)
            try source.waitForRounds(2)
            let berth = try PeersMachine(.berth, guest, in: directory, incoming: "defer")
            for end in [source, berth] { try end.setCapability("xbzrle", true) }
            try source.setParameter("max-bandwidth", .integer(64 << 20))
            try source.setParameter("downtime-limit", 1)
            let address = "unix:\(directory.file("socket"))"
            try berth.migrateIncoming(from: address)
            try source.startMigration(to: address)
            try source.monitor.waitForEvent("MIGRATION_PASS") { $0["pass"]?.integer == 5 }
            try source.setParameter("downtime-limit", 10_000)
            let info = try source.waitForCompletion()
            let pages = info["xbzrle-cache"]?["pages"]?.integer
            #expect(pages ?? 0 > 0, "\(info)")
            try berth.waitForCompletion()
            try expectSameMemory(source.memoryPath, berth.memoryPath)
            #expect(try CounterState.findings(memoryPath: berth.memoryPath) == [])
        }

        @Test(.timeLimit(.minutes(2)), arguments: ["auto-converge", "dirty-limit"])
        func `a guest that writes too fast is slowed down until it can move`(
            capability: String
        ) throws {
            let busy = try BusyGuest(
                PeerWorkload(.sequential, byteCount: 64 << 20),
                megabytes: 64
            )
            let source = try busy.start()
            let destination = try busy.expect(in: .berth)
            try source.setCapability(capability, true)
            // A pass takes more than a second, the period in which the guest is judged. At full
            // speed, or at 30 MiB/s and more, what it writes meanwhile never fits.
            try source.setParameter("max-bandwidth", .integer(48 << 20))
            try source.setParameter("downtime-limit", 500)
            try source.setParameter("cpu-throttle-initial", 99)
            try source.setParameter("vcpu-dirty-limit", 1)
            let address = "unix:\(busy.directory.file("socket"))"
            try destination.migrateIncoming(from: address)
            try source.startMigration(to: address)
            try source.wait("the guest to be slowed down") {
                if capability == "dirty-limit" {
                    let limits = try source.monitor.execute("query-vcpu-dirty-limit")
                    return limits[0]?["limit-rate"]?.integer == 1
                }
                let info = try source.monitor.execute("query-migrate")
                return info["cpu-throttle-percentage"]?.integer == 99
            }
            if capability == "auto-converge" {
                #expect(try source.workload().throttle == 99)
            }
            try source.waitForCompletion()
            try destination.waitForCompletion()
            try busy.expectSame(in: destination, as: source)

            // The guest that stayed behind, and may go on after all, is held back no longer.
            #expect(try source.workload().throttle == 0)
            #expect(try source.monitor.execute("query-vcpu-dirty-limit") == [])
        }
    }
}
