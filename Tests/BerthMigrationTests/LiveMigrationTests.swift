import BerthMemory
import BerthMigration
import BerthQAPI
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Synchronization
import Testing

/// Two endpoints and a connection between them.
@Suite(.timeLimit(.minutes(10)))
struct LiveMigrationTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    @Test(arguments: ["unix", "tcp", "fd", "exec"], [false, true])
    func `a running guest moves over`(_ transport: String, _ hasReturnPath: Bool) async throws {
        // A command goes one way only.
        guard transport != "exec" || !hasReturnPath else { return }
        let source = try await MigrationEndpoint()
        if hasReturnPath {
            try await source.controller.setCapabilities([
                .init(capability: .returnPath, state: true)
            ])
        }
        source.fill()
        let target = try await MigrationEndpoint(isIncoming: true)
        var ends: [CInt] = [-1, -1]
        socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends)
        let first = OwnedDescriptor(ends[0])
        let second = OwnedDescriptor(ends[1])
        switch transport {
        case "unix":
            let uri = "unix:\(directory.file("socket"))"
            try await target.receive(from: uri)
            #expect(await target.controller.info.socketAddress?.count == 1)
            try await source.migrate(to: uri)
        case "tcp":
            try await target.receive(from: "tcp:127.0.0.1:0")
            try await source.migrate(to: try await target.boundURI())
        case "fd":
            try await target.receive(from: "fd:end", resources: resources(["end": first.raw]))
            try await source.migrate(to: "fd:end", resources: resources(["end": second.raw]))
            // The endpoints have duplicates; one of ours left open would hide the other's end.
            try first.close()
            try second.close()
        default:
            // A pipe with a name joins the two commands.
            let pipe = directory.file("pipe")
            #expect(mkfifo(pipe, 0o600) == 0)
            try await target.receive(from: "exec:cat \(pipe)")
            try await source.migrate(to: "exec:cat > \(pipe)")
        }
        #expect(
            await target.eventsToTheEnd() == ["M setup", "M active", "RESUME", "M completed"]
        )
        #expect(await source.eventsToTheEnd() == quietSave)
        #expect(source.digest == target.digest)
        #expect(await source.runState == .postmigrate)
        #expect(await target.runState == .running)
        #expect(await target.controller.info.socketAddress == nil)
    }

    @Test func `T6: with the pause the rest waits for migrate-continue`() async throws {
        let source = try await MigrationEndpoint(capabilities: .pauseBeforeSwitchover)
        let target = try await MigrationEndpoint(isIncoming: true)
        source.fill()
        let uri = "unix:\(directory.file("socket"))"
        try await target.receive(from: uri)
        try await source.migrate(to: uri)
        await source.log.wait(for: "M pre-switchover")
        let before = ["M setup", "P 1", "M active", "STOP", "M pre-switchover"]
        #expect(source.log.events == before)
        #expect(await source.runState == .finishMigrate)
        await #expect(throws: MigrationError.self) {
            try await source.controller.proceed(from: .device)
        }
        await #expect(throws: MigrationError.self) { try await source.controller.resume() }
        #expect(await target.status == .active)
        try await source.controller.proceed(from: .preSwitchover)
        #expect(
            await source.eventsToTheEnd() == before + ["M device", "P 2", "M completed"]
        )
        _ = await target.eventsToTheEnd()
        #expect(source.digest == target.digest)
    }

    @Test func `a stop before the end arrives as a paused guest`() async throws {
        let source = try await MigrationEndpoint(capabilities: .pauseBeforeSwitchover)
        let target = try await MigrationEndpoint(isIncoming: true)
        let uri = "unix:\(directory.file("socket"))"
        try await target.receive(from: uri)
        try await source.migrate(to: uri)
        await source.log.wait(for: "M pre-switchover")
        try await source.controller.stop()
        try await source.controller.proceed(from: .preSwitchover)
        #expect(await target.eventsToTheEnd() == ["M setup", "M active", "M completed"])
        #expect(await target.runState == .paused)
    }

    @Test func `max-bandwidth holds, also below a batch of pages a window`() async throws {
        for limit: UInt64 in [4 << 20, 20 << 20] {
            let source = try await MigrationEndpoint(pageCount: 2048)
            source.fill(every: 1)
            var parameters = await source.controller.parameterValues
            parameters.maxBandwidth = limit
            // The limit ends with the guest's stop, which is not to come early.
            parameters.downtimeLimit = 1
            try await source.controller.setParameters(parameters)
            let start = ContinuousClock.now
            try await source.migrate(to: "file:\(directory.file("image"))")
            #expect(await source.eventsToTheEnd().last == "M completed")
            // 8 MiB; one tenth of a second's allowance may go at once.
            let expected = Double(8 << 20) / Double(limit) - 0.1
            let taken = start.duration(to: .now) / .seconds(1)
            #expect(taken >= expected * 0.9, "\(limit) bytes/s")
        }
    }

    @Test func `a limit can be raised while the migration runs`() async throws {
        let source = try await MigrationEndpoint(pageCount: 4096)
        source.fill(every: 1)
        // At this speed it would take half an hour.
        try await source.setBandwidth(10_000)
        try await source.migrate(to: "file:\(directory.file("image"))")
        await source.log.wait(for: "M active")
        let info = await source.controller.info
        #expect(info.status == .active && info.ram != nil)
        try await source.setBandwidth(0)
        #expect(await source.eventsToTheEnd().last == "M completed")
    }

    @Test(arguments: [false, true])
    func `a guest that writes all the time is saved and restored whole`(
        _ isMapped: Bool
    ) async throws {
        let source = try await MigrationEndpoint(pageCount: 4096) { PageWriter($0) }
        try await source.controller.setCapabilities([
            .init(capability: .mappedRAM, state: isMapped)
        ])
        source.fill()
        try await source.setBandwidth(200 << 20)
        let uri = "file:\(directory.file("image"))"
        try await source.migrate(to: uri)
        #expect(await source.eventsToTheEnd() == quietSave)
        let target = try await MigrationEndpoint(pageCount: 4096, isIncoming: true)
        try await target.controller.setCapabilities([
            .init(capability: .mappedRAM, state: isMapped)
        ])
        try await target.receive(from: uri)
        #expect(await target.eventsToTheEnd().last == "M completed")
        #expect(source.digest == target.digest)
    }

    @Test func `with a downtime limit of 0 a writing guest is not stopped`() async throws {
        let source = try await MigrationEndpoint(pageCount: 1024) { PageWriter($0) }
        source.fill(every: 1)
        var parameters = await source.controller.parameterValues
        parameters.downtimeLimit = 0
        // Slow enough for every page to be dirty again after each round.
        parameters.maxBandwidth = 20 << 20
        try await source.controller.setParameters(parameters)
        try await source.migrate(to: "file:\(directory.file("image"))")
        await source.log.wait(forAnyOf: ["P 4"] + MigrationEndpoint.ends)
        #expect(await source.runState == .running)
        parameters.downtimeLimit = 2000
        try await source.controller.setParameters(parameters)
        #expect(await source.eventsToTheEnd().last == "M completed")
    }
}

/// Writes pages of a block, one after the other, while the guest runs.
final class PageWriter: GuestActivity {
    private struct State {
        var isRunning = false
        var isEnding = false
        var page = 0
        var count: UInt64 = 0
    }

    private let block: RAMBlock
    private let state = Mutex(State())

    init(_ block: RAMBlock) {
        self.block = block
        // Lives as long as the test's process; `self` ends it.
        _ = try? NamedThread.start(name: "test-writer") { [weak self] in
            while let writer = self, writer.writeSome() {
                usleep(100)
            }
        }
    }

    /// Writes some pages under the lock that `pause` takes.
    private func writeSome() -> Bool {
        state.withLock { state in
            guard state.isRunning else { return true }
            for _ in 0..<16 {
                state.page = (state.page &* 5 &+ 7) % block.pageCount
                state.count += 1
                // Now and then a page becomes zero.
                let value = state.count % 7 == 0 ? 0 : state.count
                let base = block.base + state.page * targetPageByteCount
                for offset in stride(from: 0, to: targetPageByteCount, by: 512) {
                    base.storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
                }
                block.dirtyLog.mark(page: state.page)
            }
            return true
        }
    }

    func pause() { state.withLock { $0.isRunning = false } }

    func resume() { state.withLock { $0.isRunning = true } }
}
