import BerthMemory
import BerthMigration
import BerthQAPI
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

/// A cancel ends a migration wherever it is, and the guest runs on.
@Suite(.timeLimit(.minutes(10)))
struct CancelTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    /// Migrates once more, to a file, which must work at once.
    private func expectSecondTry(_ source: MigrationEndpoint) async throws {
        try await source.controller.setCapabilities([
            .init(capability: .pauseBeforeSwitchover, state: false),
            .init(capability: .returnPath, state: false),
        ])
        source.log.clear()
        try await source.migrate(to: "file:\(directory.file("second"))")
        let events = await source.eventsToTheEnd()
        #expect(events.last == "M completed")
        #expect(await source.controller.info.errorDesc == nil)
    }

    private func expectUnharmed(
        _ source: MigrationEndpoint,
        _ digest: UInt64,
        _ runState: RunState = .running
    ) async {
        #expect(await source.runState == runState)
        #expect(source.digest == digest)
        #expect(await source.controller.info.ram == nil)
    }

    @Test func `T10: in setup, while the connection waits to be taken`() async throws {
        let peer = try PlayedPeer(path: directory.file("peer"), backlog: 0)
        let queued = try peer.fillQueue()
        let source = try await MigrationEndpoint()
        source.fill()
        let digest = source.digest
        try await source.migrate(to: peer.uri)
        #expect(await source.status == .setup)
        #expect(await source.controller.info.totalTime == nil)
        await source.controller.cancel()
        #expect(
            await source.eventsToTheEnd() == ["M setup", "M cancelling", "M cancelled"]
        )
        await expectUnharmed(source, digest)
        #expect(!queued.isEmpty)
        try await expectSecondTry(source)
    }

    @Test(arguments: ["unix", "exec", "fd"])
    func `T9: in active, while the peer does not read`(_ transport: String) async throws {
        let peer = try PlayedPeer(path: directory.file("peer"))
        let source = try await MigrationEndpoint(pageCount: 4096)
        source.fill(every: 1)
        let digest = source.digest
        var ends: [CInt] = [-1, -1]
        #expect(pipe(&ends) == 0)
        let reader = OwnedDescriptor(ends[0])
        let writer = OwnedDescriptor(ends[1])
        switch transport {
        case "unix": try await source.migrate(to: peer.uri)
        case "exec": try await source.migrate(to: "exec:exec sleep 3600")
        default: try await source.migrate(to: "fd:end", resources: resources(["end": writer.raw]))
        }
        await source.log.wait(for: "M active")
        await source.controller.cancel()
        #expect(
            await source.eventsToTheEnd() == [
                "M setup", "P 1", "M active", "M cancelling", "M cancelled",
            ]
        )
        #expect(reader.raw >= 0)
        await expectUnharmed(source, digest)
        try await expectSecondTry(source)
    }

    @Test func `T9: in active, while the limit makes the thread wait`() async throws {
        let source = try await MigrationEndpoint(pageCount: 4096)
        source.fill(every: 1)
        try await source.setBandwidth(1)
        try await source.migrate(to: "file:\(directory.file("image"))")
        await source.log.wait(for: "M active")
        let start = ContinuousClock.now
        await source.controller.cancel()
        #expect(await source.eventsToTheEnd().last == "M cancelled")
        // Alone it takes a millisecond; what must not be is the hours of that limit.
        #expect(start.duration(to: .now) < .seconds(20))
        try await source.setBandwidth(0)
        try await expectSecondTry(source)
    }

    @Test func `T7: in pre-switchover, the guest ran`() async throws {
        let source = try await MigrationEndpoint(capabilities: .pauseBeforeSwitchover)
        source.fill()
        let digest = source.digest
        try await source.migrate(to: "file:\(directory.file("image"))")
        await source.log.wait(for: "M pre-switchover")
        await source.controller.cancel()
        #expect(
            await source.eventsToTheEnd() == [
                "M setup", "P 1", "M active", "STOP", "M pre-switchover", "M cancelling", "RESUME",
                "M cancelled",
            ]
        )
        await expectUnharmed(source, digest)
        try await expectSecondTry(source)
    }

    @Test func `T8: in pre-switchover, the guest was paused`() async throws {
        let source = try await MigrationEndpoint(capabilities: .pauseBeforeSwitchover)
        try await source.controller.stop()
        source.log.clear()
        let digest = source.digest
        try await source.migrate(to: "file:\(directory.file("image"))")
        await source.log.wait(for: "M pre-switchover")
        await source.controller.cancel()
        #expect(
            await source.eventsToTheEnd() == [
                "M setup", "P 1", "M active", "M pre-switchover", "M cancelling", "M cancelled",
            ]
        )
        await expectUnharmed(source, digest, .paused)
        try await expectSecondTry(source)
    }

    @Test func `a guest that was stopped meanwhile is not resumed`() async throws {
        let source = try await MigrationEndpoint(capabilities: .pauseBeforeSwitchover)
        try await source.migrate(to: "file:\(directory.file("image"))")
        await source.log.wait(for: "M pre-switchover")
        try await source.controller.stop()
        await source.controller.cancel()
        let events = await source.eventsToTheEnd()
        #expect(!events.contains("RESUME"))
        #expect(await source.runState == .paused)
    }

    @Test func `T11: in device, while the peer is silent`() async throws {
        let peer = try PlayedPeer(path: directory.file("peer"))
        let reader = try peer.readAndStaySilent()
        let source = try await MigrationEndpoint(capabilities: .returnPath)
        source.fill()
        let digest = source.digest
        try await source.migrate(to: peer.uri)
        await source.log.wait(for: "P 2")
        await source.log.wait(for: "M device")
        #expect(await source.runState == .finishMigrate)
        #expect(await source.controller.info.expectedDowntime != nil)
        await source.controller.cancel()
        #expect(
            await source.eventsToTheEnd() == [
                "M setup", "P 1", "M active", "STOP", "M device", "P 2", "M cancelling", "RESUME",
                "M cancelled",
            ]
        )
        joinFromAnyThread(reader)
        await expectUnharmed(source, digest)
        try await expectSecondTry(source)
    }

    @Test func `where nothing runs, nothing happens`() async throws {
        let source = try await MigrationEndpoint()
        await source.controller.cancel()
        #expect(await source.status == nil)
        try await source.migrate(to: "file:\(directory.file("image"))")
        #expect(await source.eventsToTheEnd().last == "M completed")
        await source.controller.cancel()
        #expect(await source.status == .completed)
        #expect(await source.runState == .postmigrate)
    }

    @Test func `a new migration right after the cancel waits for the old one's end`() async throws {
        let peer = try PlayedPeer(path: directory.file("peer"))
        let source = try await MigrationEndpoint(pageCount: 4096)
        source.fill(every: 1)
        try await source.migrate(to: peer.uri)
        await source.log.wait(for: "M active")
        await source.controller.cancel()
        try await source.migrate(to: "file:\(directory.file("image"))")
        await source.log.wait(for: "M completed")
        #expect(source.log.events.contains("M cancelled"))
        #expect(await source.status == .completed)
    }

    @Test func `a second migration beside the first is refused, and settings stay`() async throws {
        let peer = try PlayedPeer(path: directory.file("peer"))
        let source = try await MigrationEndpoint(pageCount: 4096)
        source.fill(every: 1)
        try await source.migrate(to: peer.uri)
        await source.log.wait(for: "M active")
        let other = directory.file("other")
        await #expect(throws: MigrationError.self) { try await source.migrate(to: "file:\(other)") }
        #expect(access(other, F_OK) != 0)
        await #expect(throws: MigrationError.self) {
            try await source.controller.setCapabilities([
                .init(capability: .returnPath, state: true)
            ])
        }
        #expect(await source.status == .active)
        await source.controller.cancel()
        #expect(await source.eventsToTheEnd().last == "M cancelled")
    }

    @Test func `D5: the destination notices`() async throws {
        let source = try await MigrationEndpoint(pageCount: 4096)
        source.fill(every: 1)
        try await source.setBandwidth(10_000)
        let target = try await MigrationEndpoint(pageCount: 4096, isIncoming: true)
        let uri = "unix:\(directory.file("socket"))"
        try await target.receive(from: uri)
        try await source.migrate(to: uri)
        await target.log.wait(for: "M active")
        await source.controller.cancel()
        #expect(await target.eventsToTheEnd() == ["M setup", "M active", "M failed"])
        #expect(await target.runState == .inmigrate)
        #expect(await target.controller.info.errorDesc?.isEmpty == false)
    }

    @Test func `the end of the endpoint cancels both directions`() async throws {
        let peer = try PlayedPeer(path: directory.file("peer"))
        let source = try await MigrationEndpoint(pageCount: 4096)
        source.fill(every: 1)
        try await source.migrate(to: peer.uri)
        await source.log.wait(for: "M active")
        await source.controller.shutDown()
        #expect(await source.eventsToTheEnd().last == "M cancelled")

        let target = try await MigrationEndpoint(isIncoming: true)
        try await target.receive(from: "unix:\(directory.file("socket"))")
        await target.controller.shutDown()
        #expect(await target.eventsToTheEnd() == ["M setup", "M failed"])
    }
}

/// Joins a thread that has nothing left to wait for: from an async test too that does no harm.
func joinFromAnyThread(_ thread: NamedThread) {
    let join: () -> Void = { thread.join() }
    join()
}
