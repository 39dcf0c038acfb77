import BerthMemory
import BerthMigration
import BerthQAPI
import BerthSystem
import BerthTestSupport
import BerthTransport
import Glibc
import Testing

/// Guests whose memory lies on the image that they were saved to.
@Suite(.timeLimit(.minutes(10)))
struct ImageRestoreTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    private var path: String { directory.file("image") }

    /// Saves a guest and gives its digest.
    private func save(offset: String = "") async throws -> UInt64 {
        let source = try await MigrationEndpoint(capabilities: .mappedRAM)
        source.fill()
        try await source.migrate(to: "file:\(path)\(offset)")
        #expect(await source.eventsToTheEnd() == quietSave)
        return source.digest
    }

    private func makeTarget(
        autostart: Bool = true,
        _ change: (inout MigrationParameters) -> Void = { _ in }
    ) async throws -> MigrationEndpoint {
        let target = try await MigrationEndpoint(
            isIncoming: true,
            autostart: autostart,
            capabilities: .mappedRAM
        )
        var parameters = await target.controller.parameterValues
        parameters.xMappedRAMRestore = .map
        change(&parameters)
        try await target.controller.setParameters(parameters)
        return target
    }

    @Test(arguments: ["", ",offset=0x5000"])
    func `a guest comes back without its image being read`(_ offset: String) async throws {
        let digest = try await save(offset: offset)
        let target = try await makeTarget()
        try await target.receive(from: "file:\(path)\(offset)")
        #expect(
            await target.eventsToTheEnd() == ["M setup", "M active", "RESUME", "M completed"]
        )
        #expect(target.block.liesOnImage)
        #expect(target.digest == digest)
        let load = try #require(await target.controller.mappedRAM.load)
        #expect(load.image == "file:\(path)\(offset.isEmpty ? "" : ",offset=20480")")
        #expect(
            load.blocks == [
                MappedRAMBlock(
                    block: "ram",
                    size: UInt64(target.block.byteCount),
                    present: UInt64(target.block.byteCount / 2),
                    means: .mapped
                )
            ]
        )
        #expect(!load.changed)
        #expect(load.prefetch == .off)
    }

    @Test func `several guests live on one image, each with writes of its own`() async throws {
        let digest = try await save()
        var targets: [MigrationEndpoint] = []
        for _ in 0..<3 {
            let target = try await makeTarget()
            try await target.receive(from: "file:\(path)")
            _ = await target.eventsToTheEnd()
            targets.append(target)
        }
        targets[0].fill(version: 7)
        #expect(targets.map(\.digest).map { $0 == digest } == [false, true, true])
    }

    @Test func `a guest that lies on an image can be saved, but not over it`() async throws {
        let digest = try await save()
        let target = try await makeTarget()
        try await target.receive(from: "file:\(path)")
        _ = await target.eventsToTheEnd()
        await #expect {
            try await target.migrate(to: "file:\(path)")
        } throws: {
            ($0 as? MigrationError)?.message.contains("memory lies on it") == true
        }
        #expect(target.digest == digest)
        target.log.clear()
        try await target.migrate(to: "file:\(directory.file("other"))")
        #expect(await target.eventsToTheEnd() == quietSave)
        let second = try await MigrationEndpoint(isIncoming: true, capabilities: .mappedRAM)
        try await second.receive(from: "file:\(directory.file("other"))")
        _ = await second.eventsToTheEnd()
        #expect(second.digest == digest)
    }

    @Test func `not even through a descriptor that both have`() async throws {
        let digest = try await save()
        let raw = try OwnedDescriptor.open(path, O_RDWR)
        let names = TransportResources(
            look: { _ in nil },
            take: { _ in try? raw.duplicate() }
        )
        let target = try await makeTarget()
        try await target.receive(from: "fd:image", resources: names)
        #expect(await target.eventsToTheEnd().last == "M completed")
        #expect(target.block.liesOnImage)
        #expect(lseek(raw.raw, 0, CInt(SEEK_SET)) == 0)
        await #expect(throws: MigrationError.self) {
            try await target.migrate(to: "fd:image", resources: names)
        }
        #expect(target.digest == digest)
    }

    @Test func `saves to other offsets of a file, or to a device of all, aren't in the way`()
        async throws
    {
        let first = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT, mode: 0o600)
        try first.lockForWriting(from: 0, name: path)
        let second = try OwnedDescriptor.open(path, O_WRONLY)
        try second.lockForWriting(from: 1 << 20, name: path)
        #expect(throws: SystemCallError.self) {
            try OwnedDescriptor.open(path, O_WRONLY).lockForWriting(from: 0, name: path)
        }
        let null = try OwnedDescriptor.open("/dev/null", O_WRONLY)
        try null.lockForWriting(name: "/dev/null")
        let source = try await MigrationEndpoint()
        try await source.migrate(to: "file:/dev/null")
        #expect(await source.eventsToTheEnd() == quietSave)
    }

    @Test func `a change of the image stops the guest and is told`() async throws {
        _ = try await save()
        let target = try await makeTarget()
        try await target.receive(from: "file:\(path)")
        _ = await target.eventsToTheEnd()
        let file = try OwnedDescriptor.open(path, O_WRONLY)
        let place = off_t(try FileStatus(of: file.raw).byteCount) - 1
        #expect(pwrite(file.raw, [0], 1, place) == 1)
        await target.log.wait(for: "STOP")
        #expect(target.log.events.suffix(2) == ["X_MAPPED_RAM_IMAGE_CHANGED file:\(path)", "STOP"])
        #expect(await target.runState == .internalError)
        #expect(await target.controller.mappedRAM.load?.changed == true)
        #expect(target.complaints.events.count == 1)
        await #expect(throws: MigrationError.self) { try await target.controller.resume() }
    }

    @Test func `a change before the guest is started counts, too`() async throws {
        _ = try await save()
        let target = try await makeTarget(autostart: false)
        try await target.receive(from: "file:\(path)")
        _ = await target.eventsToTheEnd()
        #expect(await target.runState == .paused)
        #expect(truncate(path, off_t(try FileStatus(path: path).byteCount) + 1) == 0)
        await target.log.wait(for: "X_MAPPED_RAM_IMAGE_CHANGED file:\(path)")
        #expect(await target.runState == .internalError)
        #expect(!target.log.events.contains("STOP"))
    }

    @Test func `an image that is being written isn't mapped`() async throws {
        _ = try await save()
        let writer = try OwnedDescriptor.open(path, O_WRONLY)
        try writer.lockForWriting(name: path)
        let target = try await makeTarget()
        try await target.receive(from: "file:\(path)")
        #expect(await target.eventsToTheEnd().last == "M failed")
        #expect(await target.controller.info.errorDesc?.contains("being written") == true)
        OwnedDescriptor.unlock(writer.raw)
        target.log.clear()
        try await target.receive(from: "file:\(path)")
        #expect(await target.eventsToTheEnd().last == "M completed")
    }

    @Test func `a load that fails leaves memory of its own, and no lock`() async throws {
        let digest = try await save()
        let other = directory.file("cut")
        try copy(path, to: other)
        let target = try await makeTarget()
        // Behind the pages come two more parts of the RAM section; it is cut off in the second.
        #expect(truncate(other, off_t((1 << 20) + target.block.byteCount + 40)) == 0)
        try await target.receive(from: "file:\(other)")
        #expect(await target.eventsToTheEnd().last == "M failed")
        #expect(!target.block.liesOnImage)
        #expect(target.isZero)
        try OwnedDescriptor.open(other, O_WRONLY).lockForWriting(name: other)
        target.log.clear()
        try await target.receive(from: "file:\(path)")
        #expect(await target.eventsToTheEnd().last == "M completed")
        #expect(target.digest == digest)
    }

    @Test func `pages are brought in when that is wished`() async throws {
        let digest = try await save()
        let target = try await makeTarget { $0.xMappedRAMPrefetch = true }
        try await target.receive(from: "file:\(path)")
        _ = await target.eventsToTheEnd()
        var load = try #require(await target.controller.mappedRAM.load)
        while load.prefetch == .active {
            try await Task.sleep(for: .milliseconds(1))
            load = try #require(await target.controller.mappedRAM.load)
        }
        #expect(load.prefetch == .completed)
        #expect(load.prefetched == UInt64(target.block.byteCount / 2))
        #expect(target.digest == digest)
    }

    @Test func `a copy says that it is one, and a sequential stream says nothing`() async throws {
        _ = try await save()
        let target = try await makeTarget { $0.xMappedRAMRestore = .copy }
        try await target.receive(from: "file:\(path)")
        _ = await target.eventsToTheEnd()
        let load = try #require(await target.controller.mappedRAM.load)
        #expect(load.blocks.map(\.means) == [.copied])
        #expect(load.blocks.map(\.reason) == [nil])
        try OwnedDescriptor.open(path, O_WRONLY).lockForWriting(name: path)

        let plain = try await MigrationEndpoint()
        try await plain.migrate(to: "file:\(directory.file("plain"))")
        _ = await plain.eventsToTheEnd()
        #expect(await plain.controller.mappedRAM == MappedRAMInfo())
    }

    @Test func `shared memory can't lie on an image, and nothing is started`() async throws {
        _ = try await save()
        var backend = MemoryBackend(id: "ram", kind: .memfd, byteCount: 2 << 20)
        backend.isShared = true
        let controller = MigrationController(
            identity: GuestIdentity(machineType: "none"),
            memory: GuestMemory([try RAMBlock(backend)]),
            isIncoming: true,
            autostart: true,
            environment: .init(emit: { _ in }, exit: { _, _ in })
        )
        try await controller.setCapabilities([.init(capability: .mappedRAM, state: true)])
        try await controller.setParameters(MigrationParameters(xMappedRAMRestore: .map))
        await #expect {
            try await controller.migrateIncoming(
                from: MigrationAddress(uri: "file:\(path)"),
                exitOnError: false,
                resources: TransportResources()
            )
        } throws: {
            ($0 as? MigrationError)?.message.contains("shared with others") == true
        }
        #expect(await controller.info.status == nil)
    }

    /// Copies a file byte by byte, holes and all.
    private func copy(_ path: String, to other: String) throws {
        let source = try OwnedDescriptor.open(path, O_RDONLY)
        let target = try OwnedDescriptor.open(other, O_WRONLY | O_CREAT, mode: 0o600)
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(source.raw, &bytes, bytes.count)
            guard count > 0 else { break }
            #expect(write(target.raw, bytes, count) == count)
        }
    }
}
