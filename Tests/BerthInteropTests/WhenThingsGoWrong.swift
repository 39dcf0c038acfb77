import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// What Berth says and keeps when the other side, or the image, isn't what it should be.
    @Suite(.requiresBerth, .requiresQEMU10) struct WhenThingsGoWrong {
        let directory: PeersDirectory
        let guest = PeerGuest(.pc)
        let memory: String

        init() throws {
            directory = try PeersDirectory()
            memory = directory.file("memory")
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 11)
        }

        /// An image of the patterned guest that real QEMU wrote.
        private func savedImage(mapped: Bool) throws -> String {
            let image = directory.file(mapped ? "mapped" : "sequential")
            let source = try PeersMachine(.qemu, guest, in: directory, memoryPath: memory)
            try source.setCapability("mapped-ram", mapped)
            try source.migrate(to: "file:\(image)")
            return image
        }

        /// Lets a waiting Berth load something that it must refuse.
        ///
        /// - Returns: The reason that it gives.
        private func refusal(by berth: PeersMachine, of address: String) throws -> String {
            try berth.migrateIncoming(from: address)
            #expect(try berth.waitForEnd() == "failed")
            #expect(try berth.runState() == "inmigrate")
            return try #require(try berth.monitor.execute("query-migrate")["error-desc"]?.string)
        }

        @Test(.timeLimit(.minutes(2)), arguments: [false, true])
        func `mapped-ram at one end only is refused by name`(savedMapped: Bool) throws {
            let image = try savedImage(mapped: savedMapped)
            let berth = try PeersMachine(.berth, guest, in: directory, incoming: "defer")
            try berth.setCapability("mapped-ram", !savedMapped)
            #expect(try refusal(by: berth, of: "file:\(image)").contains("mapped-ram"))
            #expect(try #require(contents(berth.memoryPath)).allSatisfy { $0 == 0 })

            // The remedy that the user will try next, in the same process.
            try berth.setCapability("mapped-ram", savedMapped)
            try berth.migrateIncoming(from: "file:\(image)")
            try berth.waitForCompletion()
            try expectSameMemory(memory, berth.memoryPath)
        }

        @Test(.timeLimit(.minutes(2)))
        func `the image of another machine is refused by name`() throws {
            let image = try savedImage(mapped: false)
            let berth = try PeersMachine(.berth, PeerGuest(.q35), in: directory, incoming: "defer")
            let reason = try refusal(by: berth, of: "file:\(image)")
            #expect(reason.contains("pc-i440fx-10.0"))
            #expect(reason.contains("pc-q35-10.0"))
        }

        @Test(.timeLimit(.minutes(3)), arguments: [false, true])
        func `a truncated image is refused wherever it ends`(mapped: Bool) throws {
            let image = try savedImage(mapped: mapped)
            let bytes = try #require(contents(image))
            let berth = try PeersMachine(.berth, guest, in: directory, incoming: "defer")
            try berth.setCapability("mapped-ram", mapped)
            let cuts = [0, 7, 100, 5000, bytes.count / 3, bytes.count / 2, bytes.count * 9 / 10]
            for cut in cuts {
                let short = directory.file("short")
                try #require(
                    FileManager.default.createFile(atPath: short, contents: bytes.prefix(cut))
                )
                #expect(try refusal(by: berth, of: "file:\(short)") != "", "cut at \(cut)")
                berth.monitor.dropEvents()
            }
            try berth.migrateIncoming(from: "file:\(image)")
            try berth.waitForCompletion()
            try expectSameMemory(memory, berth.memoryPath)
        }

        @Test(.timeLimit(.minutes(2)))
        func `a source that dies leaves Berth waiting and willing`() throws {
            let berth = try PeersMachine(.berth, guest, in: directory, incoming: "defer")
            let source = try PeersMachine(.qemu, guest, in: directory, memoryPath: memory)
            let address = "unix:\(directory.file("socket"))"
            try berth.migrateIncoming(from: address)
            try source.setParameter("max-bandwidth", 1_000_000)
            try source.startMigration(to: address)
            try berth.monitor.waitForEvent("MIGRATION") { $0["status"] == "active" }
            source.process.kill()
            #expect(try berth.waitForEnd() == "failed")
            #expect(try berth.runState() == "inmigrate")

            let image = try savedImage(mapped: false)
            try berth.migrateIncoming(from: "file:\(image)")
            try berth.waitForCompletion()
            try expectSameMemory(memory, berth.memoryPath)
        }

        @Test(.timeLimit(.minutes(2)))
        func `a destination that dies leaves Berth's guest running`() throws {
            let berth = try PeersMachine(
                .berth,
                guest,
                in: directory,
                memoryPath: memory,
                paused: false
            )
            let lost = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            let address = "unix:\(directory.file("socket"))"
            try lost.migrateIncoming(from: address)
            try berth.setParameter("max-bandwidth", 1_000_000)
            try berth.startMigration(to: address)
            try lost.monitor.waitForEvent("MIGRATION") { $0["status"] == "active" }
            lost.process.kill()
            #expect(try berth.waitForEnd() == "failed")
            #expect(try berth.runState() == "running")

            try berth.setParameter("max-bandwidth", 0)
            let destination = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            try Route.tcp.move(from: berth, to: destination, in: directory, hop: 2)
            try expectSameMemory(memory, destination.memoryPath)
        }

        @Test(.timeLimit(.minutes(2)))
        func `a destination that refuses is heard over the return path`() throws {
            let berth = try PeersMachine(
                .berth,
                guest,
                in: directory,
                memoryPath: memory,
                paused: false
            )
            let other = try PeersMachine(.qemu, PeerGuest(.q35), in: directory, incoming: "defer")
            for end in [berth, other] { try end.setCapability("return-path", true) }
            let address = "unix:\(directory.file("socket"))"
            try other.migrateIncoming(from: address)
            try berth.startMigration(to: address)
            #expect(try berth.waitForEnd() == "failed")
            #expect(try berth.monitor.execute("query-migrate")["error-desc"]?.string != nil)
            #expect(try berth.runState() == "running")
        }

        @Test(
            .timeLimit(.minutes(2)),
            arguments: ["exec:head -c 100000 >'%'", "exec:cat >'%'; exit 3", "exec:exit 1"]
        )
        func `a command that fails fails the migration`(command: String) throws {
            let berth = try PeersMachine(
                .berth,
                guest,
                in: directory,
                memoryPath: memory,
                paused: false
            )
            let image = directory.file("image")
            try berth.startMigration(to: command.replacingOccurrences(of: "%", with: image))
            #expect(try berth.waitForEnd() == "failed")
            #expect(try berth.runState() == "running")
        }

        @Test(.timeLimit(.minutes(2)))
        func `a cancelled migration can be made again`() throws {
            let berth = try PeersMachine(
                .berth,
                guest,
                in: directory,
                memoryPath: memory,
                paused: false
            )
            let image = directory.file("image")
            try berth.setParameter("max-bandwidth", 1_000_000)
            try berth.startMigration(to: "file:\(image)")
            try berth.monitor.waitForEvent("MIGRATION") { $0["status"] == "active" }
            try berth.monitor.execute("migrate_cancel")
            #expect(try berth.waitForEnd() == "cancelled")
            #expect(try berth.runState() == "running")
            let refuses = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            try refuses.migrateIncoming(from: "file:\(image)")
            #expect(try refuses.waitForEnd() == "failed")

            try berth.setParameter("max-bandwidth", 0)
            let destination = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            try Route.sequentialFile.move(from: berth, to: destination, in: directory, hop: 1)
            try expectSameMemory(memory, destination.memoryPath)
        }

        @Test(.timeLimit(.minutes(2)), arguments: [Route.unix, .tcp, .exec])
        func `mapped-ram over what cannot seek is refused at once`(route: Route) throws {
            let berth = try PeersMachine(.berth, guest, in: directory, memoryPath: memory)
            let image = directory.file("image")
            try berth.setCapability("mapped-ram", true)
            let address =
                switch route {
                case .unix: "unix:\(image)"
                case .tcp: "tcp:127.0.0.1:1"
                default: "exec:cat >'\(image)'"
                }
            let refusal = try #require(throws: QMPRefusal.self) {
                try berth.startMigration(to: address)
            }
            #expect(refusal.text.contains("mapped-ram"))
            #expect(try berth.monitor.execute("query-migrate")["status"] == nil)
            #expect(!FileManager.default.fileExists(atPath: image))
        }

        private func contents(_ path: String) -> Data? {
            FileManager.default.contents(atPath: path)
        }
    }
}
