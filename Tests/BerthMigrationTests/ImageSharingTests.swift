import BerthMemory
import BerthMigration
import BerthQAPI
import BerthSystem
import BerthTestSupport
import BerthTransport
import Glibc
import Testing

/// Images that share blocks with the guest's memory.
@Suite(.timeLimit(.minutes(10)))
struct ImageSharingTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    /// A guest whose memory is a file.
    private struct Guest {
        let controller: MigrationController
        let block: RAMBlock
        let log = EventLog()

        init(
            memory path: String,
            activity: ((RAMBlock) -> any GuestActivity)? = nil,
            save: MappedRAMSave = .auto
        ) async throws {
            block = try RAMBlock(
                MemoryBackend(
                    id: "ram",
                    kind: .file(path: path, offset: 0, readOnly: false),
                    // One and a half of what is shared in one step.
                    byteCount: 24 << 20,
                    isShared: true
                )
            )
            let log = log
            controller = MigrationController(
                identity: GuestIdentity(machineType: "none"),
                memory: GuestMemory([block]),
                isIncoming: false,
                autostart: true,
                activity: activity?(block),
                environment: .init(emit: { log.note($0) }, exit: { _, _ in })
            )
            try await controller.setCapabilities(
                [.mappedRAM, .events].map { .init(capability: $0, state: true) }
            )
            var parameters = MigrationParameters(xMappedRAMSave: save)
            parameters.maxBandwidth = 0
            try await controller.setParameters(parameters)
            await controller.startUp()
            for page in Swift.stride(from: 0, to: block.pageCount, by: 3) {
                store(UInt64(page) + 1, page)
            }
        }

        func store(_ value: UInt64, _ page: Int) {
            block.base.storeBytes(
                of: value,
                toByteOffset: page * targetPageByteCount,
                as: UInt64.self
            )
        }

        /// Saves, and gives what was done with the memory.
        func save(to path: String) async throws -> MappedRAMBlock {
            log.clear()
            try await controller.migrate(
                to: MigrationAddress(uri: "file:\(path)"),
                resume: false,
                resources: TransportResources()
            )
            await log.wait(forAnyOf: MigrationEndpoint.ends)
            #expect(log.events.last == "M completed")
            #expect(await controller.info.errorDesc == nil)
            let save = try #require(await controller.mappedRAM.save)
            #expect(save.image == "file:\(path)")
            return try #require(save.blocks.first)
        }
    }

    /// The digest of the memory in an image, read or mapped.
    private func digest(_ path: String, _ restore: MappedRAMRestore) async throws -> UInt64 {
        let target = try await MigrationEndpoint(
            pageCount: 24 << 8,
            isIncoming: true,
            capabilities: .mappedRAM
        )
        try await target.controller.setParameters(MigrationParameters(xMappedRAMRestore: restore))
        try await target.receive(from: "file:\(path)")
        #expect(await target.eventsToTheEnd().last == "M completed")
        return target.digest
    }

    @Test(arguments: ReflinkFileSystem.Kind.allCases)
    func `an image shares the memory's blocks and keeps them as they were`(
        _ kind: ReflinkFileSystem.Kind
    ) async throws {
        guard let volume = try ReflinkFileSystem.make(kind, in: directory) else { return }
        let guest = try await Guest(memory: "\(volume.folder)/memory")
        let image = "\(volume.folder)/image"
        let outcome = try await guest.save(to: image)
        #expect(outcome.means == .shared)
        #expect(outcome.reason == nil)
        #expect(outcome.present >= UInt64(guest.block.byteCount / 3))
        #expect(try FileStatus(path: image).byteCount > UInt64(guest.block.byteCount))
        let saved = guest.block.digest
        #expect(try await digest(image, .copy) == saved)
        #expect(try await digest(image, .map) == saved)
        // The guest goes on, on its own blocks.
        guest.store(~0, 0)
        guest.store(~0, 1)
        #expect(msync(guest.block.base, guest.block.byteCount, CInt(MS_SYNC)) == 0)
        #expect(try await digest(image, .copy) == saved)
        #expect(guest.block.digest != saved)
    }

    /// Writes in the last moment before the guest stands still.
    private struct LastMinute: GuestActivity {
        let block: RAMBlock

        func pause() throws(MigrationError) {
            for page in [1, 2, 5000, block.pageCount - 1] {
                block.base.storeBytes(
                    of: UInt64.max,
                    toByteOffset: page * targetPageByteCount,
                    as: UInt64.self
                )
                block.dirtyLog.mark(page: page)
            }
        }

        func resume() {}
    }

    @Test(arguments: ReflinkFileSystem.Kind.allCases)
    func `what is written until the guest stops is in the image`(
        _ kind: ReflinkFileSystem.Kind
    ) async throws {
        guard let volume = try ReflinkFileSystem.make(kind, in: directory) else { return }
        let guest = try await Guest(memory: "\(volume.folder)/memory") { LastMinute(block: $0) }
        let before = guest.block.digest
        let image = "\(volume.folder)/image"
        #expect(try await guest.save(to: image).means == .shared)
        #expect(guest.block.digest != before)
        #expect(try await digest(image, .copy) == guest.block.digest)
        #expect(!guest.block.tracking.isActive)
    }

    @Test(arguments: ReflinkFileSystem.Kind.allCases)
    func `memory is copied where that is wished`(_ kind: ReflinkFileSystem.Kind) async throws {
        guard let volume = try ReflinkFileSystem.make(kind, in: directory) else { return }
        let guest = try await Guest(memory: "\(volume.folder)/memory", save: .copy)
        let outcome = try await guest.save(to: "\(volume.folder)/image")
        #expect(outcome.means == .copied)
        #expect(outcome.reason == nil)
        #expect(try await digest("\(volume.folder)/image", .copy) == guest.block.digest)
    }

    @Test(arguments: ReflinkFileSystem.Kind.allCases)
    func `memory on another file system is copied, and that is told`(
        _ kind: ReflinkFileSystem.Kind
    ) async throws {
        guard let volume = try ReflinkFileSystem.make(kind, in: directory) else { return }
        let guest = try await Guest(memory: "\(volume.folder)/memory")
        let image = directory.file("image")
        let outcome = try await guest.save(to: image)
        #expect(outcome.means == .copied)
        #expect(outcome.reason?.hasSuffix("Invalid cross-device link") == true)
        #expect(outcome.present == UInt64((guest.block.pageCount + 2) / 3 * targetPageByteCount))
        #expect(try await digest(image, .copy) == guest.block.digest)
    }

    @Test func `memory on a file system without reflinks is copied, and that is told`()
        async throws
    {
        let volume = try #require(mkdtempOnTmpfs())
        defer { unlink("\(volume)/memory"); unlink("\(volume)/image"); rmdir(volume) }
        let guest = try await Guest(memory: "\(volume)/memory")
        let outcome = try await guest.save(to: "\(volume)/image")
        #expect(outcome.means == .copied)
        #expect(outcome.reason?.hasPrefix("cannot share blocks of '\(volume)/memory'") == true)
        #expect(try await digest("\(volume)/image", .copy) == guest.block.digest)
    }

    private func mkdtempOnTmpfs() -> String? {
        var template = Array("/dev/shm/berth-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { return nil }
        return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
