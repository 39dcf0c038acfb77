import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// Memory whose writers can't be found or held back: refused before anything begins.
    @Suite(.requiresBerth) struct WhenMemoryCannotBeWatched {
        private func busyGuest() throws -> BusyGuest {
            try BusyGuest(
                PeerWorkload(.increment, byteCount: 16 << 20),
                megabytes: 16,
                memory: .sharedFile
            )
        }

        /// Asks for a migration that must be refused, and expects that nothing else happens.
        ///
        /// - Returns: the words of the refusal.
        private func refusal(by berth: PeersMachine, _ busy: BusyGuest) throws -> String {
            berth.monitor.dropEvents()
            let image = busy.directory.file("refused")
            let refusal = try #require(throws: QMPRefusal.self) {
                try berth.startMigration(to: "file:\(image)")
            }
            #expect(try berth.monitor.execute("query-migrate") == [:])
            #expect(berth.monitor.events == [])
            #expect(!FileManager.default.fileExists(atPath: image))
            #expect(try berth.runState() == "running")
            try berth.waitForWrites(beyond: try berth.workload().writes)
            return refusal.text
        }

        @Test(.timeLimit(.minutes(1)))
        func `no snapshot of memory in a file on a disk`() throws {
            let busy = try busyGuest()
            // Where temporary files are kept over a restart: on a disk, never in memory.
            let path = "/var/tmp/berth-test-\(UUID().uuidString)"
            defer { unlink(path) }
            let berth = try PeersMachine(
                .berth,
                busy.guest,
                in: busy.directory,
                memoryPath: path,
                paused: false,
                options: busy.workload.options(memory: "ram")
            )
            let blocks = try berth.monitor.execute("x-query-dirty-tracking")
            #expect(blocks[0]?["snapshot"] == false, "\(blocks)")
            #expect(blocks[0]?["snapshot-obstacle"]?.string?.isEmpty == false, "\(blocks)")
            try berth.setCapability("background-snapshot", true)
            let reason = try refusal(by: berth, busy)
            #expect(reason.contains("ram"), "\(reason)")
            #expect(reason.contains("write-protect"), "\(reason)")
            // QMP has no place for hints.
            let said = try berth.monitor.execute(
                "human-monitor-command",
                ["command-line": "migrate file:/nowhere"]
            )
            #expect(said.string?.contains("memory-backend-") == true, "\(said)")

            // Another way to save it is open.
            try berth.setCapability("background-snapshot", false)
            let image = busy.directory.file("image")
            try berth.setParameter("downtime-limit", 60_000)
            try berth.migrate(to: "file:\(image)")
            try busy.expectClean(in: berth)
        }

        @Test(.timeLimit(.minutes(1)), arguments: [false, true])
        func `no migration while another process could write unseen`(snapshot: Bool) throws {
            let busy = try busyGuest()
            let berth = try busy.start()
            let other = try PeersProcess(
                ["/bin/sh", "-c", "exec 3<>'\(berth.memoryPath)'; echo open; exec sleep 60"],
                in: busy.directory
            )
            try berth.wait("the other process to open the file") { other.output == "open\n" }
            if snapshot {
                try berth.setCapability("background-snapshot", true)
                _ = try refusal(by: berth, busy)
                return
            }
            let reason = try refusal(by: berth, busy)
            #expect(reason.contains("process"), "\(reason)")

            // Who doesn't run has no writers.
            try berth.monitor.execute("stop")
            try berth.setCapability("mapped-ram", true)
            let image = busy.directory.file("image")
            try berth.migrate(to: "file:\(image)")
            let restored = try busy.restore(image, in: .berth, mapped: true)
            try busy.expectSame(in: restored, as: berth)
            try berth.monitor.execute("cont")

            // And once the other is gone all is well again.
            other.kill()
            try berth.setParameter("downtime-limit", 60_000)
            try berth.migrate(to: "file:\(image)-2")
            try busy.expectClean(in: berth)
        }
    }
}
