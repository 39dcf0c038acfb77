import BerthMemory
import BerthMigration
import BerthQAPI
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

/// Images that carry digests of their pages.
@Suite(.timeLimit(.minutes(10)))
struct IntegrityTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    private func endpoint(
        isIncoming: Bool = false,
        _ capabilities: [MigrationCapability],
        _ parameters: MigrationParameters = MigrationParameters()
    ) async throws -> MigrationEndpoint {
        let endpoint = try await MigrationEndpoint(isIncoming: isIncoming)
        try await endpoint.controller.setCapabilities(
            capabilities.map { .init(capability: $0, state: true) }
        )
        if !isIncoming { try await endpoint.controller.setParameters(parameters) }
        return endpoint
    }

    private func save(
        _ capabilities: [MigrationCapability],
        _ integrity: ImageIntegrity,
        offset: String = "",
        isDirect: Bool = false
    ) async throws -> (source: MigrationEndpoint, path: String) {
        let path = directory.file("image")
        var parameters = MigrationParameters(directIO: isDirect, xIntegrity: integrity)
        parameters.maxBandwidth = 0
        let source = try await endpoint(capabilities, parameters)
        source.fill()
        try await source.migrate(to: "file:\(path)\(offset)")
        #expect(await source.eventsToTheEnd().last == "M completed")
        #expect(await source.controller.info.errorDesc == nil)
        return (source, path)
    }

    private func load(
        _ path: String,
        _ capabilities: [MigrationCapability],
        offset: String = ""
    ) async throws -> MigrationEndpoint {
        let shared = capabilities.filter { $0 != .backgroundSnapshot }
        let target = try await endpoint(isIncoming: true, shared)
        try await target.receive(from: "file:\(path)\(offset)")
        _ = await target.eventsToTheEnd()
        return target
    }

    private func seal(of path: String) throws -> Seal? {
        try Seal.find(in: Channel(OwnedDescriptor.open(path, O_RDONLY), name: path))
    }

    private func flip(_ path: String, at offset: UInt64) throws {
        let file = try OwnedDescriptor.open(path, O_RDWR)
        var byte: UInt8 = 0
        #expect(pread(file.raw, &byte, 1, off_t(offset)) == 1)
        byte ^= 0x04
        #expect(pwrite(file.raw, &byte, 1, off_t(offset)) == 1)
    }

    @Test(
        arguments: [[], [.mappedRAM], [.mappedRAM, .multifd], [.mappedRAM, .backgroundSnapshot]]
            as [[MigrationCapability]],
        [ImageIntegrity.crc32c, .blake3]
    )
    func `a sealed image loads, and a damaged one doesn't`(
        _ capabilities: [MigrationCapability],
        _ integrity: ImageIntegrity
    ) async throws {
        for offset in ["", ",offset=0x3000"] {
            let (source, path) = try await save(capabilities, integrity, offset: offset)
            let seal = try #require(try seal(of: path))
            #expect(seal.algorithm.rawValue == integrity.rawValue)
            let good = try await load(path, capabilities, offset: offset)
            #expect(good.digest == source.digest)
            #expect(await good.status == .completed)
            // In the middle of the stream: some page's content.
            let middle = (seal.header.streamStart + seal.header.streamEnd) / 2
            let data = try dataOffset(path, middle)
            try flip(path, at: try #require(data))
            let bad = try await load(path, capabilities, offset: offset)
            #expect(await bad.status == .failed)
            let description = try #require(await bad.controller.info.errorDesc)
            #expect(description.contains("'ram'"), "\(description)")
            #expect(await bad.runState != .running)
            try #require(unlink(path) == 0)
        }
    }

    /// The next byte from an offset on that isn't in a hole, and not a page record's header.
    private func dataOffset(_ path: String, _ offset: UInt64) throws -> UInt64? {
        let file = try Channel(OwnedDescriptor.open(path, O_RDONLY), name: path)
        return try file.data(from: offset).map { $0.lowerBound + 1000 }
    }

    @Test func `direct writes are sealed, too`() async throws {
        let (source, path) = try await save([.mappedRAM], .crc32c, isDirect: true)
        #expect(try seal(of: path) != nil)
        let target = try await load(path, [.mappedRAM])
        #expect(target.digest == source.digest)
    }

    @Test func `without x-integrity there is no seal`() async throws {
        let (_, path) = try await save([.mappedRAM], .none)
        #expect(try seal(of: path) == nil)
    }

    @Test func `what can't be sealed is refused before anything is opened`() async throws {
        let parameters = MigrationParameters(xIntegrity: .crc32c)
        for (capabilities, uri) in [
            ([], "exec:cat >\(directory.file("out"))"), ([], "unix:\(directory.file("s"))"),
            ([.xbzrle], "file:\(directory.file("out"))"),
        ] as [([MigrationCapability], String)] {
            let source = try await endpoint(capabilities, parameters)
            let error = await #expect(throws: MigrationError.self) {
                try await source.migrate(to: uri)
            }
            #expect(error?.message.contains("x-integrity") == true)
            #expect(await source.runState == .running)
            #expect(access(directory.file("out"), F_OK) != 0)
        }
    }
}
