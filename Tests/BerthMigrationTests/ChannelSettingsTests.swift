import BerthMemory
import BerthMigration
import BerthQAPI
import BerthSystem
import BerthTestSupport
import BerthTransport
import Glibc
import Testing

/// multifd and direct-io between two endpoints, and the rules between settings.
@Suite(.timeLimit(.minutes(10)))
struct ChannelSettingsTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    private func set(
        _ endpoint: MigrationEndpoint,
        _ change: (inout MigrationParameters) -> Void
    ) async throws {
        var parameters = await endpoint.controller.parameterValues
        change(&parameters)
        try await endpoint.controller.setParameters(parameters)
    }

    private func refusal(
        of body: () async throws -> Void
    ) async throws -> MigrationError {
        try #require(await #expect(throws: MigrationError.self) { try await body() })
    }

    /// How an image is written or read.
    enum Mode: String, CaseIterable {
        case plain, direct, multifd
        case both = "multifd, direct"

        var isDirect: Bool { self == .direct || self == .both }
        var capabilities: [MigrationCapability] {
            self == .multifd || self == .both ? [.mappedRAM, .multifd] : [.mappedRAM]
        }
    }

    private func prepare(_ endpoint: MigrationEndpoint, _ mode: Mode) async throws {
        try await endpoint.controller.setCapabilities(
            mode.capabilities.map { .init(capability: $0, state: true) }
        )
        try await set(endpoint) {
            $0.directIO = mode.isDirect
            $0.multifdChannels = 3
        }
    }

    private func load(
        _ source: MigrationEndpoint,
        _ uri: String,
        _ mode: Mode,
        _ resources: TransportResources = TransportResources()
    ) async throws {
        let target = try await MigrationEndpoint(isIncoming: true)
        try await prepare(target, mode)
        try await target.receive(from: uri, resources: resources)
        _ = await target.eventsToTheEnd()
        #expect(await target.status == .completed)
        #expect(await target.controller.info.errorDesc == nil)
        #expect(target.digest == source.digest)
    }

    @Test(arguments: Mode.allCases)
    func `an image saved one way is loaded every way`(_ mode: Mode) async throws {
        for offset in ["", ",offset=0x5001"] {
            let source = try await MigrationEndpoint()
            source.fill()
            try await prepare(source, mode)
            let uri = "file:\(directory.file("image"))\(offset)"
            try await source.migrate(to: uri)
            #expect(await source.eventsToTheEnd() == quietSave)
            let ram = try #require(await source.controller.info.ram)
            let isMultifd = mode.capabilities.contains(.multifd)
            #expect((ram.multifdBytes > 0) == isMultifd)
            for other in Mode.allCases {
                try await load(source, uri, other)
            }
        }
    }

    @Test func `direct-io with a set needs a descriptor of either kind in it`() async throws {
        let path = directory.file("image")
        let plain = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT, mode: 0o600)
        let direct = try OwnedDescriptor.open(path, O_WRONLY, isDirect: true)
        let source = try await MigrationEndpoint()
        source.fill()
        try await prepare(source, .both)
        let halves = [(plain.raw, "write-only, O_DIRECT"), (direct.raw, "write-only")]
        for (only, missing) in halves {
            let resources = TransportResources()
            _ = try resources.fdSets.add(.duplicate(of: only), set: 1, opaque: nil)
            let error = try await refusal {
                try await source.migrate(to: "file:/dev/fdset/1", resources: resources)
            }
            #expect(error.message.hasSuffix("no descriptor that was opened \(missing)"))
            #expect(await source.status == .failed)
            #expect(await source.runState == .running)
        }
        let resources = TransportResources()
        _ = try resources.fdSets.add(plain, set: 1, opaque: nil)
        _ = try resources.fdSets.add(direct, set: 1, opaque: nil)
        source.log.clear()
        try await source.migrate(to: "file:/dev/fdset/1", resources: resources)
        #expect(await source.eventsToTheEnd() == quietSave)
        try await load(source, "file:\(path)", .both)

        let reading = TransportResources()
        let plainReader = try OwnedDescriptor.open(path, O_RDONLY)
        _ = try reading.fdSets.add(plainReader, set: 1, opaque: nil)
        let target = try await MigrationEndpoint(isIncoming: true)
        try await prepare(target, .both)
        let error = try await refusal {
            try await target.receive(from: "file:/dev/fdset/1", resources: reading)
        }
        #expect(error.message.hasSuffix("no descriptor that was opened read-only, O_DIRECT"))
        let directReader = try OwnedDescriptor.open(path, O_RDONLY, isDirect: true)
        _ = try reading.fdSets.add(directReader, set: 1, opaque: nil)
        try await load(source, "file:/dev/fdset/1", .both, reading)
    }

    @Test func `a file system without direct access is named`() async throws {
        let folder = directory.file("ramfs")
        mkdir(folder, 0o700)
        let mounted = mount("ramfs", folder, "ramfs", 0, nil)
        try #require(mounted == 0, "mounting a file system needs root")
        defer { umount2(folder, CInt(MNT_DETACH)) }
        let source = try await MigrationEndpoint()
        try await prepare(source, .direct)
        let error = try await refusal { try await source.migrate(to: "file:\(folder)/image") }
        #expect(error.message.contains("\(folder)/image"))
        #expect(error.hint == "its file system may not support direct-io")
        #expect(await source.runState == .running)
    }

    @Test func `direct-io says nothing about streams without places`() async throws {
        let source = try await MigrationEndpoint()
        try await set(source) { $0.directIO = true }
        try await source.migrate(to: "file:\(directory.file("image"))")
        #expect(await source.eventsToTheEnd() == quietSave)
    }

    @Test func `multifd needs channels that can be several`() async throws {
        let source = try await MigrationEndpoint(capabilities: .multifd)
        for uri in ["file:\(directory.file("image"))", "exec:cat > /dev/null"] {
            let error = try await refusal { try await source.migrate(to: uri) }
            #expect(error.message.contains("'multifd'"))
        }
        #expect(try FileStatus.existing(directory.file("image")) == nil)
        #expect(await source.status == nil)
    }

    @Test func `compression fits neither mapped-ram nor zero-copy-send`() async throws {
        let source = try await MigrationEndpoint(capabilities: .mappedRAM, .multifd)
        try await set(source) { $0.multifdCompression = .zstd }
        let image = "file:\(directory.file("image"))"
        let atStart = try await refusal { try await source.migrate(to: image) }
        #expect(atStart.message.contains("'multifd-compression' is 'zstd'"))
        let zeroCopy = try await refusal {
            try await source.controller.setCapabilities([
                .init(capability: .zeroCopySend, state: true)
            ])
        }
        #expect(zeroCopy.message.contains("'zero-copy-send'"))
        try await set(source) { $0.multifdCompression = .none }
        try await source.controller.setCapabilities([
            .init(capability: .zeroCopySend, state: true)
        ])
        let compression = try await refusal {
            try await set(source) { $0.multifdCompression = .zlib }
        }
        #expect(compression.message.contains("'zero-copy-send'"))
    }

    @Test func `multifd cannot come after the listener`() async throws {
        let target = try await MigrationEndpoint(isIncoming: true)
        try await target.receive(from: "tcp:127.0.0.1:0")
        let error = try await refusal {
            try await target.controller.setCapabilities([
                .init(capability: .multifd, state: true)
            ])
        }
        #expect(error.message.contains("listens already"))
        await target.controller.shutDown()
    }

    @Test(arguments: [1, 4], [MultiFDCompression.none, .zlib, .zstd])
    func `a guest goes over several connections`(
        count: UInt8,
        compression: MultiFDCompression
    ) async throws {
        let source = try await MigrationEndpoint(capabilities: .multifd, .returnPath)
        let target = try await MigrationEndpoint(isIncoming: true, capabilities: .multifd)
        for end in [source, target] {
            try await set(end) {
                $0.multifdChannels = count
                $0.multifdCompression = compression
            }
        }
        source.fill()
        try await target.receive(from: "tcp:127.0.0.1:0")
        try await source.migrate(to: target.boundURI())
        _ = await source.eventsToTheEnd()
        _ = await target.eventsToTheEnd()
        #expect(await source.status == .completed)
        #expect(await target.status == .completed)
        #expect(source.digest == target.digest)
        let ram = try #require(await source.controller.info.ram)
        #expect(ram.multifdBytes > 0 && ram.transferred > Int64(ram.multifdBytes))
        #expect(ram.normal == 256 && ram.duplicate == 256)
    }
}

extension FileStatus {
    /// What a path names; nil if nothing.
    fileprivate static func existing(_ path: String) throws -> FileStatus? {
        access(path, F_OK) == 0 ? try FileStatus(path: path) : nil
    }
}
