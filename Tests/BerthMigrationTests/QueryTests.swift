import BerthJSON
import BerthMigration
import BerthQAPI
import BerthSystem
import BerthTestSupport
import BerthTransport
import Glibc
import Testing

/// Which members `query-migrate` has in which state.
@Suite(.timeLimit(.minutes(10)))
struct QueryTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    private static let running: Set<String> = [
        "status", "total-time", "setup-time", "expected-downtime", "ram",
    ]

    private func expectMembers(
        _ expected: Set<String>,
        _ endpoint: MigrationEndpoint,
        _ status: MigrationStatus?,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let info = await endpoint.controller.info
        #expect(info.status == status, sourceLocation: sourceLocation)
        guard case .object(let object) = info.toJSON() else {
            Issue.record("not an object", sourceLocation: sourceLocation)
            return
        }
        #expect(Set(object.members.map(\.key)) == expected, sourceLocation: sourceLocation)
    }

    @Test func `a source has QEMU's members in every state`() async throws {
        let peer = try PlayedPeer(path: directory.file("peer"))
        let source = try await MigrationEndpoint(
            capabilities: .pauseBeforeSwitchover,
            .returnPath
        )
        try await expectMembers([], source, nil)
        try await source.migrate(to: "unix:\(directory.file("nobody"))")
        _ = await source.eventsToTheEnd()
        try await expectMembers(["status", "error-desc"], source, .failed)

        source.log.clear()
        let reader = try peer.readAndStaySilent()
        try await source.migrate(to: peer.uri)
        await source.log.wait(for: "M pre-switchover")
        try await expectMembers(Self.running, source, .preSwitchover)
        try await source.controller.proceed(from: .preSwitchover)
        try await expectMembers(Self.running, source, .device)
        await source.controller.cancel()
        _ = await source.eventsToTheEnd()
        try await expectMembers(["status"], source, .cancelled)
        joinFromAnyThread(reader)

        try await source.controller.setCapabilities([
            .init(capability: .returnPath, state: false),
            .init(capability: .pauseBeforeSwitchover, state: false),
        ])
        source.log.clear()
        try await source.migrate(to: "file:\(directory.file("image"))")
        _ = await source.eventsToTheEnd()
        try await expectMembers(
            ["status", "total-time", "setup-time", "downtime", "ram"],
            source,
            .completed
        )
    }

    @Test func `a source in setup and in active`() async throws {
        let peer = try PlayedPeer(path: directory.file("peer"), backlog: 0)
        let queued = try peer.fillQueue()
        let source = try await MigrationEndpoint(pageCount: 4096)
        source.fill(every: 1)
        try await source.migrate(to: peer.uri)
        try await expectMembers(["status"], source, .setup)
        // Room in the queue: the connection is made, and nobody reads.
        let taken = try peer.accept()
        await source.log.wait(for: "M active")
        try await expectMembers(Self.running, source, .active)
        let first = try #require(await source.controller.info.ram)
        #expect(first.total == 4096 * 4096 && first.pageSize == 4096)
        await source.controller.cancel()
        _ = await source.eventsToTheEnd()
        #expect(!queued.isEmpty && taken.isSocket)
    }

    @Test func `a completed source has counted every byte and page`() async throws {
        let source = try await MigrationEndpoint()
        source.fill(every: 2)
        let path = directory.file("image")
        try await source.migrate(to: "file:\(path)")
        _ = await source.eventsToTheEnd()
        let info = await source.controller.info
        let ram = try #require(info.ram)
        #expect(ram.remaining == 0)
        #expect(ram.normal == 256 && ram.duplicate == 256 && ram.normalBytes == 256 * 4096)
        #expect(ram.dirtySyncCount >= 2)
        #expect(ram.transferred == Int64(try FileStatus(path: path).byteCount))
        #expect(ram.precopyBytes > 0 && ram.downtimeBytes == 0)
    }

    @Test func `a destination has its status, its addresses, its reason`() async throws {
        let target = try await MigrationEndpoint(isIncoming: true)
        try await expectMembers([], target, nil)
        let path = directory.file("socket")
        try await target.receive(from: "unix:\(path)")
        try await expectMembers(["status", "socket-address"], target, .setup)
        let source = try await MigrationEndpoint(pageCount: 16)
        try await source.migrate(to: "unix:\(path)")
        _ = await target.eventsToTheEnd()
        try await expectMembers(["status", "error-desc"], target, .failed)

        let second = try await MigrationEndpoint()
        target.log.clear()
        try await target.receive(from: "unix:\(path)")
        try await second.migrate(to: "unix:\(path)")
        _ = await target.eventsToTheEnd()
        try await expectMembers(["status"], target, .completed)
    }
}
