import BerthTestSupport
import Testing

extension Interop {
    /// Mapped-ram images over several channels and around the page cache, of Berth and of QEMU.
    @Suite(.requiresBerth, .requiresQEMU10) struct WaysToAnImage {
        /// How a program writes or reads an image; the image is the same.
        enum Way: String, CaseIterable {
            case plain, multifd
            case direct = "direct-io"
            case both = "multifd, direct-io"

            func prepare(_ machine: PeersMachine) throws {
                try machine.setCapability("mapped-ram", true)
                try machine.setCapability("multifd", self == .multifd || self == .both)
                try machine.setParameter("multifd-channels", 3)
                try machine.setParameter("direct-io", .bool(self == .direct || self == .both))
            }
        }

        /// Saves a guest with patterned memory one way, and loads it every way.
        private func exchange(
            from first: PeerProgram,
            to second: PeerProgram,
            _ way: Way,
            _ address: (PeersDirectory) throws -> String
        ) throws {
            let directory = try PeersDirectory()
            let guest = PeerGuest(.q35)
            let memory = directory.file("memory")
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 3)
            let source = try PeersMachine(first, guest, in: directory, memoryPath: memory)
            try way.prepare(source)
            let address = try address(directory)
            let info = try source.migrate(to: address)
            let bytes = try #require(info["ram"]?["multifd-bytes"]?.integer)
            #expect((bytes > 0) == (way == .multifd || way == .both))
            for other in Way.allCases {
                let target = try PeersMachine(second, guest, in: directory, incoming: "defer")
                try other.prepare(target)
                try target.migrateIncoming(from: address)
                try target.waitForCompletion()
                try expectSameMemory(memory, target.memoryPath)
            }
        }

        @Test(.timeLimit(.minutes(2)), arguments: Way.allCases)
        func `QEMU loads what Berth saved`(way: Way) throws {
            for suffix in ["", ",offset=0x5000"] {
                try exchange(from: .berth, to: .qemu, way) {
                    "file:\($0.file("image"))\(suffix)"
                }
            }
        }

        @Test(.timeLimit(.minutes(2)), arguments: Way.allCases)
        func `Berth loads what QEMU saved`(way: Way) throws {
            try exchange(from: .qemu, to: .berth, way) { "file:\($0.file("image"))" }
        }

        // QEMU itself can't save to one: it wants to set its length.
        @Test(.timeLimit(.minutes(2)), arguments: [Way.plain, .both])
        func `QEMU loads from a block device, where Berth saved`(way: Way) throws {
            let directory = try PeersDirectory()
            let device = try LoopDevice(creating: directory.file("disk"), byteCount: 64 << 20)
            for program in [PeerProgram.qemu, .berth] {
                try exchange(from: .berth, to: program, way) { _ in "file:\(device.path)" }
            }
        }

        @Test(.timeLimit(.minutes(2)), arguments: [Way.multifd, .direct, .both])
        func `a save of a guest that never rests is whole`(way: Way) throws {
            let busy = try BusyGuest(
                PeerWorkload(.increment, byteCount: 32 << 20, threadCount: 2),
                megabytes: 64
            )
            let source = try busy.start()
            try way.prepare(source)
            let image = busy.directory.file("image")
            try source.setParameter("max-bandwidth", 0)
            // Only we end the save: something is always left.
            try source.setParameter("downtime-limit", 0)
            source.monitor.dropEvents()
            try source.startMigration(to: "file:\(image)")
            var history = try source.history(to: "pass 5")
            try source.setParameter("downtime-limit", 60_000)
            history += try source.history()
            #expect(history.last == "completed")
            for program in [PeerProgram.berth, .qemu] {
                let restored = try busy.restore(image, in: program, mapped: true)
                try busy.expectSame(in: restored, as: source)
            }
        }
    }
}
