import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// Images whose pages stay where they are: restores that map, saves that share.
    @Suite(.requiresBerth, .requiresQEMU10) struct ImagesInPlace {
        let directory: PeersDirectory
        let memory: String
        let image: String

        init() throws {
            directory = try PeersDirectory()
            memory = directory.file("memory")
            image = directory.file("image")
        }

        /// Has real QEMU save a guest with memory of all kinds of pages.
        private func saveByQEMU(_ guest: PeerGuest, seed: UInt64) throws {
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: seed)
            let source = try PeersMachine(.qemu, guest, in: directory, memoryPath: memory)
            try source.setCapability("mapped-ram", true)
            try source.migrate(to: "file:\(image)")
            try source.quit()
        }

        /// A Berth whose memory lies on the image.
        private func map(
            _ guest: PeerGuest,
            paused: Bool = true,
            prefetch: Bool = false
        ) throws -> PeersMachine {
            var guest = guest
            guest.memory = .anonymous
            let berth = try PeersMachine(
                .berth,
                guest,
                in: directory,
                paused: paused,
                incoming: "defer"
            )
            try berth.setCapability("mapped-ram", true)
            try berth.setParameter("x-mapped-ram-restore", "map")
            try berth.setParameter("x-mapped-ram-prefetch", .bool(prefetch))
            try berth.migrateIncoming(from: "file:\(image)")
            try berth.waitForCompletion()
            return berth
        }

        /// Loads an image in real QEMU and compares its memory.
        private func expectLoads(_ image: String, _ guest: PeerGuest) throws {
            let target = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            try target.setCapability("mapped-ram", true)
            try target.migrateIncoming(from: "file:\(image)")
            try target.waitForCompletion()
            #expect(try target.quit() == 0)
            let difference = try PeersMemory.difference(
                between: target.memoryPath,
                and: memory
            )
            #expect(difference == nil, "\(difference ?? "")")
        }

        @Test(.timeLimit(.minutes(2)), arguments: PeerMachineType.allCases, [false, true])
        func `an image of QEMU's is memory at once, and leaves again for QEMU`(
            machine: PeerMachineType,
            prefetch: Bool
        ) throws {
            let guest = PeerGuest(machine)
            try saveByQEMU(guest, seed: 41)
            let berth = try map(guest, prefetch: prefetch)
            let load = try berth.monitor.execute("x-query-mapped-ram")["load"]
            #expect(load?["image"]?.string == "file:\(image)")
            guard case .array(let blocks) = load?["blocks"] else {
                Issue.record("no blocks in \(String(describing: load))")
                return
            }
            #expect(!blocks.isEmpty)
            #expect(blocks.allSatisfy { $0["means"] == "mapped" }, "\(blocks)")
            let second = directory.file("second")
            try berth.migrate(to: "file:\(second)")
            #expect(try berth.quit() == 0)
            try expectLoads(second, guest)
        }

        @Test(.timeLimit(.minutes(2)), arguments: ReflinkFileSystem.Kind.allCases)
        func `an image that shares the memory's blocks loads in QEMU`(
            kind: ReflinkFileSystem.Kind
        ) throws {
            guard let volume = try ReflinkFileSystem.make(kind, in: directory) else { return }
            let guest = PeerGuest(.none)
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 43)
            let own = "\(volume.folder)/memory"
            try FileManager.default.copyItem(atPath: memory, toPath: own)
            let source = try PeersMachine(.berth, guest, in: directory, memoryPath: own)
            try source.setCapability("mapped-ram", true)
            let image = "\(volume.folder)/image"
            try source.migrate(to: "file:\(image)")
            let save = try source.monitor.execute("x-query-mapped-ram")["save"]
            #expect(save?["blocks"]?[0]?["means"] == "shared", "\(String(describing: save))")
            try source.quit()
            try expectLoads(image, guest)
        }

        @Test(.timeLimit(.minutes(2)))
        func `many endpoints share the pages of one image`() throws {
            var guest = PeerGuest(.none)
            guest.memoryByteCount = 128 << 20
            try saveByQEMU(guest, seed: 47)
            let endpoints = try (0..<4).map { _ in try map(guest) }
            var digests: Set<String> = []
            for endpoint in endpoints {
                let blocks = try endpoint.monitor.execute("x-query-ram-digest")
                digests.insert(blocks[0]?["digest"]?.string ?? "none")
            }
            #expect(digests.count == 1)
            let resident = endpoints.compactMap { $0.process.residentByteCount }.reduce(0, +)
            let proportional = endpoints.compactMap { $0.process.proportionalByteCount }
                .reduce(0, +)
            print("4 endpoints: Rss \(resident >> 20) MiB, Pss \(proportional >> 20) MiB in all")
            // All have all pages; what isn't shared is what each has anyway.
            #expect(resident > 4 * guest.memoryByteCount / 2)
            #expect(proportional < resident / 2)
        }

        @Test(.timeLimit(.minutes(2)))
        func `a change of the image is told, and stops the guest`() throws {
            let guest = PeerGuest(.none)
            try saveByQEMU(guest, seed: 53)
            let berth = try map(guest, paused: false)
            try berth.monitor.execute("cont")
            let file = try #require(FileHandle(forWritingAtPath: image))
            try file.seekToEnd()
            try file.write(contentsOf: Data([0]))
            let event = try berth.monitor.waitForEvent("X_MAPPED_RAM_IMAGE_CHANGED")
            #expect(event["data"]?["image"]?.string == "file:\(image)")
            #expect(try berth.runState() == "internal-error")
            #expect(berth.process.errorOutput.hasPrefix("berth: 'file:\(image)' was changed"))
            #expect(try berth.quit() == 0)
        }

        @Test(.timeLimit(.minutes(2)))
        func `an image that is cut short ends who needs its pages, with a word`() throws {
            let guest = PeerGuest(.none)
            try saveByQEMU(guest, seed: 59)
            let berth = try map(guest)
            let file = try #require(FileHandle(forWritingAtPath: image))
            try file.truncate(atOffset: 1 << 20)
            // The whole memory is read.
            #expect(throws: (any Error).self) {
                try berth.monitor.execute("x-query-ram-digest")
            }
            #expect(try berth.process.waitForExit() == 1)
            let words = berth.process.errorOutput
            #expect(words.contains("can't give a page of the guest's memory"), "\(words)")
        }

        @Test(.timeLimit(.minutes(2)))
        func `nobody saves over an image that a guest lies on`() throws {
            let guest = PeerGuest(.none)
            try saveByQEMU(guest, seed: 61)
            let before = try #require(FileManager.default.contents(atPath: image))
            let berth = try map(guest)
            let other = try PeersMachine(.berth, guest, in: directory)
            for machine in [berth, other] {
                try machine.setCapability("mapped-ram", true)
                #expect {
                    try machine.startMigration(to: "file:\(image)")
                } throws: {
                    ($0 as? QMPRefusal)?.description.contains("memory lies on it") == true
                }
            }
            #expect(FileManager.default.contents(atPath: image) == before)
            #expect(try berth.quit() == 0)
            other.monitor.dropEvents()
            try other.migrate(to: "file:\(image)")
        }
    }
}
