import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// Snapshots of a guest that runs on, and writes as fast as it can.
    @Suite(.requiresBerth, .requiresQEMU10) struct BackgroundSnapshots {
        /// Half of the memory is written; the other half stays zero, and costs nothing.
        private static let busyByteCount = 64 << 20

        private func busyGuest(
            _ pattern: PeerWorkload.Pattern = .increment,
            memory: PeerMemoryKind = .anonymous
        ) throws -> BusyGuest {
            try BusyGuest(
                PeerWorkload(pattern, byteCount: Self.busyByteCount),
                megabytes: 2 * Self.busyByteCount >> 20,
                memory: memory
            )
        }

        /// How a snapshot is written.
        enum Layout: String {
            case sequential, mapped
            case direct = "mapped, direct-io"
        }

        private static let cases: [(PeerWorkload.Pattern, PeerMemoryKind, Layout)] = [
            (.increment, .anonymous, .sequential), (.increment, .anonymous, .mapped),
            (.increment, .anonymous, .direct), (.sequential, .memfd, .sequential),
            (.sequential, .memfd, .mapped),
        ]

        @Test(.timeLimit(.minutes(2)), arguments: cases)
        func `the image is the memory of one instant`(
            pattern: PeerWorkload.Pattern,
            memory: PeerMemoryKind,
            layout: Layout
        ) throws {
            let mapped = layout != .sequential
            let busy = try busyGuest(pattern, memory: memory)
            let image = busy.directory.file("image")
            let source = try busy.start()
            try source.setCapability("background-snapshot", true)
            try source.setCapability("mapped-ram", mapped)
            try source.setParameter("direct-io", .bool(layout == .direct))
            source.monitor.dropEvents()
            let before = try source.workload().writes
            try source.startMigration(to: "file:\(image)")
            try source.monitor.waitForEvent("RESUME")
            let after = try source.workload().writes
            try source.waitForCompletion()

            for program in [PeerProgram.berth, .qemu] {
                let restored = try busy.restore(image, in: program, mapped: mapped)
                let writes = try busy.expectClean(in: restored)
                #expect(
                    (before...after).contains(writes),
                    "\(program) has the memory after \(writes) writes"
                )
            }
            try expectSize(of: image, mapped: mapped)
            try busy.expectGoesOn(in: source)
        }

        /// Expects that an image has each page that isn't zero once, and little else.
        private func expectSize(of image: String, mapped: Bool) throws {
            var information = stat()
            try #require(stat(image, &information) == 0)
            // A mapped image has holes for pages that are zero.
            let size = mapped ? Int(information.st_blocks) * 512 : Int(information.st_size)
            let header = 64 << 10
            print("background snapshot: \(size) bytes for \(Self.busyByteCount) of memory")
            #expect(size >= Self.busyByteCount)
            #expect(size <= Self.busyByteCount * 101 / 100 + header)
        }

        @Test(.timeLimit(.minutes(2)), arguments: [false, true])
        func `a running guest is held for an instant, and says so`(mapped: Bool) throws {
            let busy = try busyGuest()
            let source = try busy.start()
            try source.setCapability("background-snapshot", true)
            try source.setCapability("mapped-ram", mapped)
            source.monitor.dropEvents()
            try source.startMigration(to: "file:\(busy.directory.file("image"))")
            #expect(
                try source.history() == ["setup", "active", "STOP", "RESUME", "completed"]
            )
            #expect(try source.runState() == "running")
        }

        @Test(.timeLimit(.minutes(2)), arguments: [false, true])
        func `a stopped guest stays stopped`(mapped: Bool) throws {
            let busy = try busyGuest()
            let image = busy.directory.file("image")
            let source = try busy.start()
            try source.monitor.execute("stop")
            try source.setCapability("background-snapshot", true)
            try source.setCapability("mapped-ram", mapped)
            source.monitor.dropEvents()
            try source.startMigration(to: "file:\(image)")
            #expect(try source.history() == ["setup", "active", "completed"])
            #expect(try source.runState() == "paused")
            let restored = try busy.restore(image, in: .berth, mapped: mapped)
            try busy.expectSame(in: restored, as: source)
            try source.monitor.execute("cont")
            try busy.expectGoesOn(in: source)
        }

        @Test(.timeLimit(.minutes(2)))
        func `cancelled while nobody reads it, all writers go on`() throws {
            let busy = try busyGuest()
            let source = try busy.start()
            try source.setCapability("background-snapshot", true)
            let round = Int64(Self.busyByteCount / 4096)
            var random = SeededGenerator()
            for attempt in 1...4 {
                // It has a connection waiting, and doesn't take it: what is sent comes to a halt,
                // and soon all that can be copied aside is full, too.
                let silent = try busy.expect(in: .qemu)
                let address = "unix:\(busy.directory.file("socket-\(attempt)"))"
                try silent.migrateIncoming(from: address)
                silent.process.signal(SIGSTOP)
                source.monitor.dropEvents()
                try source.startMigration(to: address)
                #expect(try source.history(to: "RESUME") == ["setup", "active", "STOP", "RESUME"])
                usleep(UInt32.random(in: 0...100_000, using: &random))
                try source.monitor.execute("migrate_cancel")
                #expect(
                    try source.history() == ["cancelling", "cancelled"],
                    "attempt \(attempt), BERTH_TEST_SEED=\(random.seed)"
                )
                // More than a round: no page is left protected.
                try source.waitForWrites(beyond: try source.workload().writes + round)
            }

            // And it can be made again, at once.
            let image = busy.directory.file("image")
            try source.migrate(to: "file:\(image)")
            let restored = try busy.restore(image, in: .berth, mapped: false)
            try busy.expectClean(in: restored)
            try busy.expectGoesOn(in: source)
        }

        @Test(.timeLimit(.minutes(2)), arguments: [false, true])
        func `a disk that is full costs the guest nothing`(mapped: Bool) throws {
            let busy = try busyGuest()
            let disk = try #require(
                StreamTinyFileSystem(on: busy.directory.file("disk")),
                "needs the right to mount a file system"
            )
            let source = try busy.start()
            try source.setCapability("background-snapshot", true)
            try source.setCapability("mapped-ram", mapped)
            source.monitor.dropEvents()
            try source.startMigration(to: "file:\(disk.folder)/image")
            #expect(
                try source.history() == ["setup", "active", "STOP", "RESUME", "failed"]
            )
            let reason = try source.monitor.execute("query-migrate")["error-desc"]?.string
            #expect(reason?.contains("no space left on device") == true, "\(reason ?? "none")")
            let round = Int64(Self.busyByteCount / 4096)
            try source.waitForWrites(beyond: try source.workload().writes + round)
            try busy.expectGoesOn(in: source)
        }
    }
}
