import BerthMemory
import BerthMigration
import BerthQAPI
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Synchronization
import Testing

/// When a guest that writes is stopped, and what is done to it before.
@Suite(.timeLimit(.minutes(10)))
struct ConvergenceTests {
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

    /// Speaks as the destination; doesn't wait for anything.
    private func tell(_ message: ReturnPathMessage, _ channel: Channel) throws {
        try ReturnPath.send(message, on: channel)
    }

    @Test func `T5: rounds go on until what is left fits, each with its event`() async throws {
        let source = try await MigrationEndpoint(pageCount: 2048) { PageWriter($0) }
        source.fill(every: 1)
        try await set(source) {
            $0.maxBandwidth = 16 << 20
            $0.downtimeLimit = 1
        }
        try await source.migrate(to: "file:\(directory.file("image"))")
        await source.log.wait(for: "P 4")
        #expect(await source.runState == .running)
        try await set(source) {
            $0.maxBandwidth = 0
            $0.downtimeLimit = 2000
        }
        // Checks that the passes are numbered without a gap.
        #expect(await source.eventsToTheEnd() == quietSave)
        let passes = source.log.events.filter { $0.hasPrefix("P ") }
        let counted = await source.controller.info.ram?.dirtySyncCount
        #expect(counted == Int64(passes.count))
        #expect(passes.count > 4)
    }

    @Test(arguments: [MigrationCapability.autoConverge, .dirtyLimit])
    func `a guest that writes too fast is held back, until the end`(
        _ capability: MigrationCapability
    ) async throws {
        let box = Mutex<HeldWriter?>(nil)
        let source = try await MigrationEndpoint(
            pageCount: 2048,
            activity: { block in
                let writer = HeldWriter(block)
                box.withLock { $0 = writer }
                return writer
            },
            capabilities: capability
        )
        source.fill(every: 1)
        try await set(source) {
            $0.maxBandwidth = 8 << 20
            $0.downtimeLimit = 1
            $0.cpuThrottleInitial = 30
            $0.vcpuDirtyLimit = 3
        }
        try await source.migrate(to: "file:\(directory.file("image"))")
        let writer = try #require(box.withLock { $0 })
        await writer.orders.wait { !$0.isEmpty }
        let expected = capability == .autoConverge ? "30 %, 0 B/s" : "0 %, 3145728 B/s"
        #expect(writer.orders.events.first == expected)
        if capability == .autoConverge {
            #expect(await source.controller.info.cpuThrottlePercentage == 30)
        } else {
            // A change of the parameter takes effect on a limit in force.
            try await set(source) { $0.vcpuDirtyLimit = 4 }
            #expect(writer.orders.events.last == "0 %, 4194304 B/s")
        }
        await source.controller.cancel()
        _ = await source.eventsToTheEnd()
        #expect(writer.orders.events.last == "0 %, 0 B/s")
        #expect(await source.controller.info.cpuThrottlePercentage == nil)
    }

    @Test func `with switchover-ack a running guest is stopped when the destination is ready`()
        async throws
    {
        let peer = try PlayedPeer(path: directory.file("peer"))
        let source = try await MigrationEndpoint(capabilities: .returnPath, .switchoverAck)
        source.fill()
        try await source.migrate(to: peer.uri)
        let channel = try peer.accept()
        let drained = try NamedThread.start(name: "test-drain") { PlayedPeer.drain(channel) }
        await source.log.wait(for: "P 3")
        #expect(await source.runState == .running)
        try tell(.switchoverAck, channel)
        await source.log.wait(for: "M device")
        try tell(.shut(0), channel)
        #expect(await source.eventsToTheEnd().suffix(2) == ["P 2", "M completed"])
        joinFromAnyThread(drained)
    }

    @Test func `with switchover-ack a paused guest isn't waited for`() async throws {
        let source = try await MigrationEndpoint(capabilities: .returnPath, .switchoverAck)
        let target = try await MigrationEndpoint(isIncoming: true)
        let uri = "unix:\(directory.file("socket"))"
        try await target.receive(from: uri)
        try await source.controller.stop()
        source.log.clear()
        // The destination has the capability off, and never acknowledges.
        try await source.migrate(to: uri)
        #expect(
            await source.eventsToTheEnd()
                == ["M setup", "P 1", "M active", "M device", "P 2", "M completed"]
        )
    }

    @Test func `two endpoints agree on the switchover`() async throws {
        let source = try await MigrationEndpoint(
            activity: { PageWriter($0) },
            capabilities: .returnPath,
            .switchoverAck
        )
        let target = try await MigrationEndpoint(
            isIncoming: true,
            capabilities: .returnPath,
            .switchoverAck
        )
        source.fill()
        let uri = "unix:\(directory.file("socket"))"
        try await target.receive(from: uri)
        try await source.migrate(to: uri)
        #expect(await source.eventsToTheEnd() == quietSave)
        _ = await target.eventsToTheEnd()
        #expect(source.digest == target.digest)
    }

    @Test func `a destination that gives up is heard while pages are sent`() async throws {
        let peer = try PlayedPeer(path: directory.file("peer"))
        let source = try await MigrationEndpoint(pageCount: 4096, capabilities: .returnPath)
        source.fill(every: 1)
        try await source.setBandwidth(4 << 20)
        try await source.migrate(to: peer.uri)
        let channel = try peer.accept()
        let drained = try NamedThread.start(name: "test-drain") { PlayedPeer.drain(channel) }
        await source.log.wait(for: "M active")
        try tell(.shut(1), channel)
        // At this speed it would take four seconds more to find out.
        #expect(await source.eventsToTheEnd() == ["M setup", "P 1", "M active", "M failed"])
        #expect(await source.controller.info.errorDesc?.contains("destination") == true)
        #expect(await source.runState == .running)
        joinFromAnyThread(drained)
    }

    @Test func `with xbzrle pages that were sent before go as deltas`() async throws {
        let source = try await MigrationEndpoint(
            pageCount: 2048,
            activity: { PageWriter($0) },
            capabilities: .xbzrle
        )
        source.fill(every: 1)
        try await set(source) {
            $0.maxBandwidth = 32 << 20
            $0.downtimeLimit = 0
        }
        let target = try await MigrationEndpoint(pageCount: 2048, isIncoming: true)
        let uri = "unix:\(directory.file("socket"))"
        try await target.receive(from: uri)
        try await source.migrate(to: uri)
        await source.log.wait(for: "P 5")
        try await set(source) { $0.downtimeLimit = 2000 }
        #expect(await source.eventsToTheEnd().last == "M completed")
        _ = await target.eventsToTheEnd()
        #expect(source.digest == target.digest)
        let cache = try #require(await source.controller.info.xbzrleCache)
        #expect(cache.pages > 0)
        #expect(cache.bytes > 0 && cache.bytes < cache.pages * 4096)
        #expect(cache.cacheSize == 64 << 20)
    }
}

/// A writer that notes how it is held back.
final class HeldWriter: GuestActivity {
    private let writer: PageWriter
    private let percentage = Mutex(0)
    let orders = EventLog()

    init(_ block: RAMBlock) { writer = PageWriter(block) }

    func pause() { writer.pause() }

    func resume() { writer.resume() }

    func throttle(percentage: Int) { self.percentage.withLock { $0 = percentage } }

    /// An order says both.
    func limitDirtyRate(bytesPerSecond: UInt64?) {
        orders.note("\(percentage.withLock { $0 }) %, \(bytesPerSecond ?? 0) B/s")
    }
}
