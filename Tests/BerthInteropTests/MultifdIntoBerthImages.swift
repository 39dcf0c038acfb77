import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// `berth receive -l` as the destination of multifd migrations: it finds out by itself how many
    /// channels there are and how they are compressed.
    @Suite(.requiresBerth, .requiresQEMU10) struct MultifdIntoBerthImages {
        private let directory: PeersDirectory
        private let memory: String

        init() throws {
            directory = try PeersDirectory()
            memory = directory.file("memory")
        }

        @Test(
            .timeLimit(.minutes(2)),
            arguments: MultifdRoute.all,
            ["mapped-ram", "sequential"]
        )
        func `QEMU opens the image`(_ route: MultifdRoute, _ format: String) throws {
            try saveAndRestore(PeerGuest(.none), route, format)
        }

        @Test(
            .timeLimit(.minutes(2)),
            arguments: [PeerMachineType.pc, .q35],
            ["8.0", "8.2", "10.0"]
        )
        func `QEMU opens the image of a machine of any version`(
            _ machine: PeerMachineType,
            _ version: String
        ) throws {
            let guest = PeerGuest(machine, version: version)
            try saveAndRestore(guest, MultifdRoute(channelCount: 3, zeroPages: "legacy"))
        }

        @Test(
            .requiresQEMU72,
            .timeLimit(.minutes(2)),
            arguments: [PeerMachineType.none, .q35],
            ["none", "zlib", "zstd"]
        )
        func `an image of QEMU 7.2`(_ machine: PeerMachineType, _ compression: String) throws {
            let route = MultifdRoute(channelCount: 4, compression: compression)
            try saveAndRestore(PeerGuest(machine, version: "7.2"), route, from: .oldQEMU)
        }

        /// Saves a guest with patterned memory into an image, and restores it in QEMU 10.
        private func saveAndRestore(
            _ guest: PeerGuest,
            _ route: MultifdRoute,
            _ format: String = "mapped-ram",
            from program: PeerProgram = .qemu
        ) throws {
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 29)
            let source = try PeersMachine(program, guest, in: directory, memoryPath: memory)
            try route.apply(toSource: source)
            let image = directory.file("image")
            try receive(into: image, route, format) { address in
                try source.migrate(to: address)
            }
            try expectRestores(image, guest, format, as: memory)
        }

        /// Runs `berth receive` until it has made an image of what `migrate` sends to its address.
        private func receive(
            into image: String,
            _ route: MultifdRoute,
            _ format: String,
            _ migrate: (String) throws -> Void
        ) throws {
            let berth = try #require(Peers.berth)
            let address =
                route.transport == "tcp"
                ? "tcp:127.0.0.1:\(try freePort())" : "unix:\(directory.file("socket"))"
            let receiver = try PeersProcess(
                [berth, "receive", "-l", address, "--format", format, image],
                in: directory
            )
            try waitUntilListening(receiver, address)
            try migrate(address)
            #expect(try receiver.waitForExit() == 0, "\(receiver.errorOutput)")
        }

        private func expectRestores(
            _ image: String,
            _ guest: PeerGuest,
            _ format: String,
            as memory: String
        ) throws {
            let destination = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            try destination.setCapability("mapped-ram", format == "mapped-ram")
            try destination.migrateIncoming(from: "file:\(image)")
            try destination.waitForCompletion()
            try expectSameMemory(memory, destination.memoryPath)
        }

        @Test(.requiresGuest, .timeLimit(.minutes(2)), arguments: ["mapped-ram", "sequential"])
        func `a guest that writes is saved as it was at its end`(_ format: String) throws {
            let guest = PeerGuest(.pc, firmware: Peers.guest)
            let source = try PeersMachine(.qemu, guest, in: directory, paused: false)
            try source.waitForRounds(2)
            let route = MultifdRoute(channelCount: 4, hasReturnPath: true)
            try route.apply(toSource: source)
            try source.setParameter("max-bandwidth", 100_000_000)
            let image = directory.file("image")
            try receive(into: image, route, format) { address in
                try source.migrate(to: address)
            }
            try expectRestores(image, guest, format, as: source.memoryPath)
        }

        @Test(.timeLimit(.minutes(2)))
        func `a source that dies leaves no image`() throws {
            let guest = PeerGuest(.none)
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 31)
            let source = try PeersMachine(.qemu, guest, in: directory, memoryPath: memory)
            try MultifdRoute(channelCount: 4).apply(toSource: source)
            try source.setParameter("max-bandwidth", 1_000_000)
            let berth = try #require(Peers.berth)
            let image = directory.file("image")
            let address = "unix:\(directory.file("socket"))"
            let receiver = try PeersProcess(
                [berth, "receive", "-l", address, image],
                in: directory
            )
            try waitUntilListening(receiver, address)
            try source.startMigration(to: address)
            try source.monitor.waitForEvent("MIGRATION") { $0["status"] == "active" }
            source.process.kill()
            #expect(try receiver.waitForExit() == 1)
            #expect(receiver.errorOutput.contains("berth: "), "\(receiver.errorOutput)")
            let left = try FileManager.default.contentsOfDirectory(atPath: directory.path)
            #expect(!left.contains { $0.hasPrefix("image") }, "\(left)")
        }

        /// A port that was free a moment ago.
        private func freePort() throws -> UInt16 {
            let guest = PeerGuest(.none)
            let machine = try PeersMachine(.berth, guest, in: directory, incoming: "defer")
            try machine.migrateIncoming(from: "tcp:127.0.0.1:0")
            let port = try machine.listeningPort()
            #expect(try machine.quit() == 0)
            return try #require(UInt16(port))
        }

        /// Waits until somebody listens, without connecting: that would be taken for a source.
        private func waitUntilListening(_ process: PeersProcess, _ address: String) throws {
            let deadline = ContinuousClock.now + .seconds(60)
            while try !isListening(address) {
                try #require(process.isRunning, "\(process.errorOutput)")
                try #require(ContinuousClock.now < deadline, "nobody listens on \(address)")
                usleep(1000)
            }
        }

        private func isListening(_ address: String) throws -> Bool {
            let parts = address.split(separator: ":", maxSplits: 1)
            if parts[0] == "unix" {
                // The file is there a moment before anybody listens; flag 00010000 is a listener's.
                return try table("/proc/net/unix")
                    .split(separator: "\n")
                    .contains { $0.contains(" 00010000 ") && $0.hasSuffix(" \(parts[1])") }
            }
            let port = try #require(address.split(separator: ":").last.flatMap { UInt16($0) })
            let hexadecimal = String(port, radix: 16, uppercase: true)
            let padded = String(repeating: "0", count: 4 - hexadecimal.count) + hexadecimal
            // State 0A is LISTEN.
            return try table("/proc/net/tcp")
                .split(separator: "\n").contains {
                    $0.contains("0100007F:\(padded) 00000000:0000 0A")
                }
        }

        /// All of one of the kernel's tables, which don't say how long they are.
        private func table(_ path: String) throws -> String {
            let file = try #require(FileHandle(forReadingAtPath: path))
            return String(decoding: file.readDataToEndOfFile(), as: UTF8.self)
        }
    }
}
