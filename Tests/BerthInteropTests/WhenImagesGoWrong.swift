import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// Saves that are cut off and images that aren't whole: both sides of the pipe must hear of it.
    @Suite(.requiresBerth, .requiresQEMU10) struct WhenImagesGoWrong {
        let directory: PeersDirectory
        let guest = PeerGuest(.pc)
        let memory: String
        let image: String
        let berth: String

        init() throws {
            berth = try #require(Peers.berth)
            directory = try PeersDirectory()
            memory = directory.file("memory")
            image = directory.file("image")
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 13)
        }

        @Test(.timeLimit(.minutes(2)), arguments: ["mapped-ram", "sequential"])
        func `a source that dies leaves nothing that passes for an image`(format: String) throws {
            let socket = directory.file("socket")
            let receive = try PeersProcess(
                [berth, "receive", "-l", "unix:\(socket)", image, "--format", format],
                in: directory
            )
            while !FileManager.default.fileExists(atPath: socket) {
                try #require(receive.isRunning, "it ended: \(receive.errorOutput)")
                usleep(1000)
            }
            let source = try PeersMachine(.qemu, guest, in: directory, memoryPath: memory)
            try source.setParameter("max-bandwidth", 2_000_000)
            try source.startMigration(to: "unix:\(socket)")
            try source.monitor.waitForEvent("MIGRATION") { $0["status"] == "active" }
            source.process.kill()
            #expect(try receive.waitForExit() == 1)
            #expect(receive.errorOutput.hasPrefix("berth: "))
            #expect(!FileManager.default.fileExists(atPath: image))
        }

        @Test(.timeLimit(.minutes(2)))
        func `QEMU hears of a disk that is full`() throws {
            let source = try PeersMachine(.qemu, guest, in: directory, memoryPath: memory)
            try source.startMigration(to: "exec:'\(berth)' receive /dev/full --format sequential")
            #expect(try source.waitForEnd() == "failed")
            #expect(source.process.isRunning)
        }

        @Test(.timeLimit(.minutes(2)), arguments: ["mapped-ram", "sequential"])
        func `QEMU hears of an image that was cut`(format: String) throws {
            let source = try PeersMachine(.qemu, guest, in: directory, memoryPath: memory)
            try source.migrate(toImage: image, receivedBy: berth, format: "\(format)")
            let bytes = try #require(FileManager.default.contents(atPath: image))
            for cut in [0, 5000, bytes.count / 2, bytes.count - 2000] {
                let short = directory.file("short")
                try #require(
                    FileManager.default.createFile(atPath: short, contents: bytes.prefix(cut))
                )
                let send = try PeersProcess([berth, "send", short], in: directory)
                #expect(try send.waitForExit() == 1, "cut at \(cut)")

                // Where there is nothing that could be sent, real QEMU waits on for ever.
                guard format == "sequential", cut > 5000 else { continue }
                let destination = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
                try destination.migrateIncoming(from: "exec:'\(berth)' send '\(short)'")
                #expect(try destination.waitForEnd() == "failed", "cut at \(cut)")
            }
        }

        @Test(.timeLimit(.minutes(2)))
        func `an existing image survives a save that fails`() throws {
            let source = try PeersMachine(.qemu, guest, in: directory, memoryPath: memory)
            try source.migrate(toImage: image, receivedBy: berth)
            let before = try #require(FileManager.default.contents(atPath: image))

            let nonsense = directory.file("nonsense")
            try #require(
                FileManager.default.createFile(atPath: nonsense, contents: before.prefix(100_000))
            )
            let receive = try PeersProcess(
                [berth, "receive", image],
                in: directory,
                input: nonsense
            )
            #expect(try receive.waitForExit() == 1)
            #expect(FileManager.default.contents(atPath: image) == before)
        }
    }
}
