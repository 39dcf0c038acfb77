import BerthTestSupport
import Foundation
import Testing

extension Interop {
    /// Images with digests behind their stream: real QEMU doesn't see them, Berth finds damage by them.
    @Suite(.requiresBerth, .requiresQEMU10) struct SealedImages {
        /// How QEMU loads an image.
        enum Loading: String, Sendable, CaseIterable {
            case sequential
            case mapped = "mapped-ram"
            case multifd = "mapped-ram, multifd"
            case direct = "mapped-ram, multifd, direct-io"

            var isMapped: Bool { self != .sequential }

            /// Sets an endpoint up for it.
            func prepare(_ machine: PeersMachine) throws {
                try machine.setCapability("mapped-ram", isMapped)
                guard self == .multifd || self == .direct else { return }
                try machine.setCapability("multifd", true)
                try machine.setParameter("multifd-channels", 3)
                try machine.setParameter("direct-io", .bool(self == .direct))
            }
        }

        let directory: PeersDirectory
        let memory: String
        let image: String

        init() throws {
            directory = try PeersDirectory()
            memory = directory.file("memory")
            image = directory.file("image")
        }

        private func run(_ arguments: [String]) throws -> (status: Int, output: String) {
            let process = try PeersProcess([try #require(Peers.berth)] + arguments, in: directory)
            let status = try process.waitForExit()
            return (status, process.output + process.errorOutput)
        }

        /// Has a program save a guest with memory of all kinds of pages.
        private func save(
            _ program: PeerProgram,
            _ guest: PeerGuest,
            _ loading: Loading,
            integrity: String? = nil
        ) throws {
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 51)
            let source = try PeersMachine(program, guest, in: directory, memoryPath: memory)
            try loading.prepare(source)
            if let integrity { try source.setParameter("x-integrity", .string(integrity)) }
            try source.migrate(to: "file:\(image)")
            try source.quit()
        }

        /// Loads the image in real QEMU and compares its memory.
        private func expectLoads(_ guest: PeerGuest, _ loading: Loading) throws {
            let target = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            try loading.prepare(target)
            try target.migrateIncoming(from: "file:\(image)")
            try target.waitForCompletion()
            #expect(try target.quit() == 0)
            try expectSameMemory(target.memoryPath, memory)
        }

        /// Changes a byte of a page of the guest's memory where it lies in the image.
        ///
        /// - Returns: The page's offset in the guest's memory.
        private func damage(_ guest: PeerGuest) throws -> Int {
            let memory = try Data(contentsOf: URL(filePath: memory), options: .alwaysMapped)
            let bytes = try Data(contentsOf: URL(filePath: image), options: .alwaysMapped)
            let offset = try #require(
                stride(from: 4096, to: memory.count, by: 4096).first { offset in
                    memory[offset..<offset + 4096].contains { $0 != 0 }
                }
            )
            let page = memory[offset..<offset + 4096]
            let place = try #require(bytes.range(of: page)).lowerBound
            let file = try #require(FileHandle(forUpdatingAtPath: image))
            try file.seek(toOffset: UInt64(place + 4000))
            try file.write(contentsOf: [~bytes[place + 4000]])
            try file.close()
            return offset
        }

        private func expectWhole(_ algorithm: String) throws {
            let found = try run(["verify", image])
            #expect(found.status == 0, "\(found.output)")
            #expect(
                found.output.contains("content checked against its seal (\(algorithm))"),
                "\(found.output)"
            )
        }

        @Test(
            .timeLimit(.minutes(3)),
            arguments: PeerMachineType.allCases,
            Loading.allCases
        )
        func `an image of QEMU's that is sealed loads in QEMU as before`(
            machine: PeerMachineType,
            loading: Loading
        ) throws {
            let guest = PeerGuest(machine)
            try save(.qemu, guest, loading)
            let before = try Data(contentsOf: URL(filePath: image), options: .alwaysMapped).count
            let algorithm = loading.isMapped ? "crc32c" : "blake3"
            let sealing = try run(["seal", image, "--algorithm", algorithm])
            #expect(sealing.status == 0, "\(sealing.output)")
            #expect(
                try Data(contentsOf: URL(filePath: image), options: .alwaysMapped).count > before
            )
            try expectWhole(algorithm)
            try expectLoads(guest, loading)
            #expect(try run(["seal", image, "--remove"]).status == 0)
            #expect(
                try Data(contentsOf: URL(filePath: image), options: .alwaysMapped).count == before
            )
            try expectLoads(guest, loading)
        }

        @Test(.timeLimit(.minutes(3)), arguments: Loading.allCases)
        func `an image that Berth seals as it saves loads in QEMU`(loading: Loading) throws {
            let guest = PeerGuest(.none)
            let algorithm = loading.isMapped ? "blake3" : "crc32c"
            try save(.berth, guest, loading, integrity: algorithm)
            try expectWhole(algorithm)
            try expectLoads(guest, loading)
        }

        @Test(.timeLimit(.minutes(3)), arguments: [Loading.sequential, .mapped])
        func `a damaged page that QEMU loads is named by Berth`(loading: Loading) throws {
            let guest = PeerGuest(.q35)
            try save(.qemu, guest, loading)
            #expect(try run(["seal", image]).status == 0)
            let offset = try damage(guest)
            // QEMU takes it without a word.
            let target = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            try loading.prepare(target)
            try target.migrateIncoming(from: "file:\(image)")
            try target.waitForCompletion()
            #expect(try target.quit() == 0)
            #expect(try PeersMemory.difference(between: target.memoryPath, and: memory) != nil)

            let found = try run(["verify", image])
            #expect(found.status == 1)
            let page = "page 0x\(String(offset, radix: 16)) of block 'pc.ram'"
            #expect(found.output.contains(page), "\(found.output)")
            #expect(try run(["verify", "--structure-only", image]).status == 0)
        }

        @Test(.timeLimit(.minutes(3)), arguments: PeerMachineType.allCases, [false, true])
        func `an image of QEMU's is whole, and no longer when it is cut`(
            machine: PeerMachineType,
            isMapped: Bool
        ) throws {
            let guest = PeerGuest(machine)
            try save(.qemu, guest, isMapped ? .mapped : .sequential)
            let whole = try run(["verify", image])
            #expect(whole.status == 0, "\(whole.output)")
            let count = try Data(contentsOf: URL(filePath: image), options: .alwaysMapped).count
            for cut in [1, 100, 5000, count / 2, count - 30] {
                let file = try #require(FileHandle(forUpdatingAtPath: image))
                try file.truncate(atOffset: UInt64(count - cut))
                try file.close()
                let found = try run(["verify", image])
                #expect(found.status == 1, "\(cut) bytes less: \(found.output)")
            }
        }
    }
}
