import BerthMemory
import BerthMigration
import BerthQAPI
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

/// Migrations over several channels, from one endpoint of Berth to another.
@Suite(.timeLimit(.minutes(5)))
struct MultifdMigrationTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    private static let uuid = GuestUUID(high: 0x7a2e_0d5c_3d4f_4b68, low: 0x9d3e_0a1b_2c3d_4e5f)

    /// An endpoint whose pages travel over so many channels; 0 turns multifd off.
    private func endpoint(
        channels: UInt8,
        _ compression: MultiFDCompression = .none,
        pageCount: Int = 2000,
        uuid: GuestUUID? = nil,
        isIncoming: Bool = false
    ) async throws -> MigrationEndpoint {
        let endpoint = try await MigrationEndpoint(
            pageCount: pageCount,
            uuid: uuid,
            isIncoming: isIncoming
        )
        try await set(endpoint, channels: channels, compression)
        return endpoint
    }

    private func set(
        _ endpoint: MigrationEndpoint,
        channels: UInt8,
        _ compression: MultiFDCompression = .none
    ) async throws {
        try await endpoint.controller.setCapabilities([
            .init(capability: .multifd, state: channels > 0),
            .init(capability: .returnPath, state: true),
        ])
        var parameters = await endpoint.controller.parameterValues
        parameters.multifdChannels = max(1, channels)
        parameters.multifdCompression = compression
        try await endpoint.controller.setParameters(parameters)
    }

    /// Lets `target` listen, and gives the address to connect to.
    private func listen(_ target: MigrationEndpoint, _ transport: String) async throws -> String {
        guard transport == "tcp" else {
            let uri = "unix:\(directory.file("socket"))"
            try await target.receive(from: uri)
            return uri
        }
        try await target.receive(from: "tcp:127.0.0.1:0")
        return try await target.boundURI()
    }

    @Test(
        arguments: ["unix", "tcp"],
        [
            (UInt8(1), MultiFDCompression.none), (2, .none), (8, .none), (3, .zlib), (1, .zstd),
            (8, .zstd),
        ]
    )
    func `all pages arrive`(
        _ transport: String,
        _ setting: (channels: UInt8, compression: MultiFDCompression)
    ) async throws {
        let source = try await endpoint(channels: setting.channels, setting.compression)
        let target = try await endpoint(
            channels: setting.channels,
            setting.compression,
            isIncoming: true
        )
        source.fill()
        try await source.migrate(to: try await listen(target, transport))
        #expect(await source.eventsToTheEnd().last == "M completed")
        #expect(await target.eventsToTheEnd().last == "M completed")
        #expect(target.digest == source.digest)
        #expect(await target.runState == .running)
    }

    /// What both ends say where they don't agree.
    private func expectRefused(
        _ source: MigrationEndpoint,
        _ target: MigrationEndpoint,
        over transport: String,
        _ reason: String
    ) async throws {
        source.fill()
        let digest = source.digest
        try await source.migrate(to: try await listen(target, transport))
        #expect(await target.eventsToTheEnd().last == "M failed")
        let events = await source.eventsToTheEnd()
        // A small guest may have been stopped for its last pages by then.
        #expect(events.contains("M failed"), "\(events)")
        let error = await target.controller.info.errorDesc ?? "none"
        #expect(error.contains(reason), "\(error)")
        #expect(await target.runState == .inmigrate)
        #expect(target.isZero, "no page stays")
        #expect(await source.runState == .running)
        #expect(source.digest == digest)
        #expect(await source.controller.info.errorDesc != nil)

        // The remedy that the hint gives.
        for endpoint in [source, target] {
            endpoint.log.clear()
            try await set(endpoint, channels: 3)
        }
        try await source.migrate(to: try await listen(target, transport))
        #expect(await target.eventsToTheEnd().last == "M completed")
        #expect(await source.eventsToTheEnd().last == "M completed")
        #expect(target.digest == digest)
    }

    @Test(arguments: ["unix", "tcp"])
    func `more channels at the source`(_ transport: String) async throws {
        try await expectRefused(
            try await endpoint(channels: 6),
            try await endpoint(channels: 2, isIncoming: true),
            over: transport,
            "2 are expected here"
        )
    }

    @Test(arguments: ["unix", "tcp"])
    func `fewer channels at the source`(_ transport: String) async throws {
        try await expectRefused(
            try await endpoint(channels: 2),
            try await endpoint(channels: 6, isIncoming: true),
            over: transport,
            "the source connected 2 multifd channels, 6 are expected here"
        )
    }

    @Test(arguments: ["unix", "tcp"])
    func `multifd at the destination only`(_ transport: String) async throws {
        try await expectRefused(
            try await endpoint(channels: 0),
            try await endpoint(channels: 2, isIncoming: true),
            over: transport,
            "the source connected no multifd channel, 2 are expected here"
        )
    }

    @Test(arguments: ["unix", "tcp"])
    func `multifd at the source only`(_ transport: String) async throws {
        try await expectRefused(
            try await endpoint(channels: 2),
            try await endpoint(channels: 0, isIncoming: true),
            over: transport,
            "multifd"
        )
    }

    @Test(arguments: [(MultiFDCompression.zlib, MultiFDCompression.none), (.none, .zstd)])
    func `another compression`(
        _ there: MultiFDCompression,
        _ here: MultiFDCompression
    ) async throws {
        try await expectRefused(
            try await endpoint(channels: 2, there),
            try await endpoint(channels: 2, here, isIncoming: true),
            over: "unix",
            "packets are compressed with '\(there.rawValue)', multifd-compression is "
                + "'\(here.rawValue)' here"
        )
    }

    @Test func `another guest`() async throws {
        let source = try await endpoint(channels: 2, uuid: Self.uuid)
        let target = try await endpoint(channels: 2, isIncoming: true)
        source.fill()
        try await source.migrate(to: try await listen(target, "unix"))
        #expect(await target.eventsToTheEnd() == ["M setup", "M failed"])
        #expect(await source.eventsToTheEnd().contains("M failed"))
        let error = await target.controller.info.errorDesc ?? "none"
        #expect(error.contains("UUID \(Self.uuid)"), "\(error)")
    }

    @Test(arguments: ["unix", "tcp"])
    func `a cancel ends both ends`(_ transport: String) async throws {
        let source = try await endpoint(channels: 4, pageCount: 8192)
        let target = try await endpoint(channels: 4, pageCount: 8192, isIncoming: true)
        source.fill(every: 1)
        try await source.setBandwidth(1 << 20)
        try await source.migrate(to: try await listen(target, transport))
        await target.log.wait(for: "M active")
        await source.controller.cancel()
        #expect(await source.eventsToTheEnd().last == "M cancelled")
        #expect(await target.eventsToTheEnd().last == "M failed")
        #expect(target.isZero, "no page stays")
        #expect(await target.runState == .inmigrate)
    }

    @Test func `a destination whose channels never come can be ended`() async throws {
        let target = try await endpoint(channels: 2, isIncoming: true)
        let uri = try await listen(target, "unix")
        let silent = try connect(to: uri)
        await target.controller.yank()
        #expect(await target.eventsToTheEnd() == ["M setup", "M failed"])
        withExtendedLifetime(silent) {}
    }

    private func connect(to uri: String) throws -> Channel {
        try OutgoingTransport(
            address: MigrationAddress(uri: uri),
            resources: TransportResources()
        ).connect()
    }
}
