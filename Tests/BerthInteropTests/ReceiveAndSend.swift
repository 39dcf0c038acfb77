import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// `berth receive` and `berth send` as the commands that QEMU's `exec:` starts, and by themselves.
    @Suite(.requiresBerth, .requiresQEMU10) struct ReceiveAndSend {
        @Test(
            .timeLimit(.minutes(2)),
            arguments: PeerMachineType.allCases,
            ["mapped-ram", "sequential"]
        )
        func `QEMU saves into an image and comes back out of it`(
            machine: PeerMachineType,
            format: String
        ) throws {
            try saveAndRestore(with: .qemu, PeerGuest(machine), format: format)
        }

        @Test(
            .requiresQEMU72,
            .timeLimit(.minutes(2)),
            arguments: PeerMachineType.allCases,
            ["mapped-ram", "sequential"]
        )
        func `QEMU 7.2 saves into an image and comes back out of it`(
            machine: PeerMachineType,
            format: String
        ) throws {
            try saveAndRestore(with: .oldQEMU, PeerGuest(machine, version: "7.2"), format: format)
        }

        private func saveAndRestore(
            with program: PeerProgram,
            _ guest: PeerGuest,
            format: String
        ) throws {
            let berth = try #require(Peers.berth)
            let directory = try PeersDirectory()
            let memory = directory.file("memory")
            let image = directory.file("image")
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 3)

            let source = try PeersMachine(program, guest, in: directory, memoryPath: memory)
            try source.migrate(toImage: image, receivedBy: berth, format: "\(format)")

            let destination = try PeersMachine(program, guest, in: directory, incoming: "defer")
            try destination.migrateIncoming(from: "exec:'\(berth)' send '\(image)'")
            try destination.waitForCompletion()
            try expectSameMemory(memory, destination.memoryPath)
        }

        @Test(.timeLimit(.minutes(2)), arguments: PeerMachineType.allCases)
        func `QEMU opens a received mapped-ram image by itself`(machine: PeerMachineType) throws {
            let berth = try #require(Peers.berth)
            let directory = try PeersDirectory()
            let guest = PeerGuest(machine)
            let memory = directory.file("memory")
            let image = directory.file("image")
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 4)
            let source = try PeersMachine(.qemu, guest, in: directory, memoryPath: memory)
            try source.migrate(toImage: image, receivedBy: berth)

            let destination = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            try destination.setCapability("mapped-ram", true)
            try destination.migrateIncoming(from: "file:\(image)")
            try destination.waitForCompletion()
            try expectSameMemory(memory, destination.memoryPath)
        }

        @Test(.timeLimit(.minutes(2)), arguments: [Route.sequentialFile, .mappedFile])
        func `an image that QEMU wrote is sent to QEMU`(route: Route) throws {
            let berth = try #require(Peers.berth)
            let directory = try PeersDirectory()
            let guest = PeerGuest(.q35)
            let memory = directory.file("memory")
            let image = directory.file("image")
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 5)
            let source = try PeersMachine(.qemu, guest, in: directory, memoryPath: memory)
            try source.setCapability("mapped-ram", route == .mappedFile)
            try source.migrate(to: "file:\(image)")

            let destination = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            let address = "unix:\(directory.file("socket"))"
            try destination.migrateIncoming(from: address)
            let send = try PeersProcess([berth, "send", image, "-c", address], in: directory)
            try destination.waitForCompletion()
            #expect(try send.waitForExit() == 0)
            try expectSameMemory(memory, destination.memoryPath)
        }

        @Test(.requiresGuest, .timeLimit(.minutes(2)), arguments: [PeerMachineType.pc, .q35])
        func `a counting guest goes on out of an image`(machine: PeerMachineType) throws {
            let berth = try #require(Peers.berth)
            let directory = try PeersDirectory()
            let guest = PeerGuest(machine, firmware: Peers.guest)
            let image = directory.file("image")
            let source = try PeersMachine(.qemu, guest, in: directory, paused: false)
            try source.waitForRounds(2)
            try source.migrate(toImage: image, receivedBy: berth)
            let left = try CounterState(memoryPath: source.memoryPath)

            // As a user would type it: the guest runs as soon as it is there.
            let destination = try PeersMachine(
                .qemu,
                guest,
                in: directory,
                paused: false,
                incoming: "exec:'\(berth)' send '\(image)'"
            )
            try destination.waitForRounds(2, beyond: left)
            try destination.monitor.execute("stop")
            #expect(try CounterState.findings(memoryPath: destination.memoryPath) == [])
        }

        @Test(.timeLimit(.minutes(5)))
        func `receiving a large guest takes little memory`() throws {
            let berth = try #require(Peers.berth)
            let directory = try PeersDirectory()
            var guest = PeerGuest(.none)
            guest.memoryByteCount = 1 << 30
            let memory = directory.file("memory")
            try PeersMemory.writePattern(to: memory, byteCount: 64 << 20, seed: 6)
            // The rest of the file is a hole.
            try #require(truncate(memory, guest.memoryByteCount) == 0)
            let source = try PeersMachine(.qemu, guest, in: directory, memoryPath: memory)
            try source.setParameter("max-bandwidth", 0)

            let socket = directory.file("socket")
            let receive = try PeersProcess(
                [berth, "receive", "-l", "unix:\(socket)", directory.file("image")],
                in: directory
            )
            while !FileManager.default.fileExists(atPath: socket) {
                try #require(receive.isRunning, "it ended: \(receive.errorOutput)")
                usleep(1000)
            }
            try source.startMigration(to: "unix:\(socket)")
            var peak = 0
            while receive.isRunning {
                peak = max(peak, receive.peakResidentByteCount ?? 0)
                usleep(1000)
            }
            #expect(try receive.waitForExit() == 0)
            try source.waitForCompletion()
            // 64 MiB are allowed beyond the bitmap, which is 32 KiB per GiB.
            #expect(peak > 0)
            #expect(peak <= 64 << 20 + 32 << 10)
        }
    }
}
