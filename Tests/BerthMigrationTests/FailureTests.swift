import BerthMemory
import BerthMigration
import BerthQAPI
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

/// What goes wrong while a migration runs leaves the source's guest as it was.
@Suite(.timeLimit(.minutes(10)))
struct FailureTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    /// The guest runs on, the reason is told, and another try works.
    private func expectFailed(
        _ source: MigrationEndpoint,
        events: [String],
        reason: String,
        runState: RunState = .running
    ) async throws {
        let digest = source.digest
        if let last = events.last {
            await source.log.wait(for: last)
        }
        #expect(await source.eventsToTheEnd() == events)
        let info = await source.controller.info
        #expect(info.status == .failed)
        #expect(info.errorDesc?.contains(reason) == true, "\(info.errorDesc ?? "no reason")")
        #expect(info.ram == nil && info.totalTime == nil)
        #expect(await source.runState == runState)
        #expect(source.digest == digest)

        try await source.controller.setCapabilities([
            .init(capability: .returnPath, state: false),
            .init(capability: .mappedRAM, state: false),
        ])
        source.log.clear()
        try await source.migrate(to: "file:\(directory.file("second"))")
        let second = await source.eventsToTheEnd()
        #expect(second.last == "M completed")
        #expect(await source.controller.info.errorDesc == nil)
    }

    @Test func `T12: no space left on a device`() async throws {
        let source = try await MigrationEndpoint()
        source.fill()
        let full = try OwnedDescriptor.open("/dev/full", O_WRONLY)
        try await source.migrate(to: "fd:full", resources: resources(["full": full.raw]))
        try await expectFailed(
            source,
            events: ["M setup", "P 1", "M active", "M failed"],
            reason: "no space left"
        )
    }

    @Test(arguments: [false, true])
    func `T12: no space left on a file system`(_ isMapped: Bool) async throws {
        guard let small = StreamTinyFileSystem(on: directory.file("small")) else {
            try Test.cancel("needs the right to mount a tmpfs: run as root")
        }
        let source = try await MigrationEndpoint(pageCount: 1024)
        if isMapped {
            try await source.controller.setCapabilities([
                .init(capability: .mappedRAM, state: true)
            ])
        }
        source.fill(every: 1)
        let path = "\(small.folder)/image"
        try await source.migrate(to: "file:\(path)")
        try await expectFailed(
            source,
            events: ["M setup", "P 1", "M active", "M failed"],
            reason: "no space left"
        )
        // What is left there passes for no image.
        let target = try await MigrationEndpoint(pageCount: 1024, isIncoming: true)
        if isMapped {
            try await target.controller.setCapabilities([
                .init(capability: .mappedRAM, state: true)
            ])
        }
        try await target.receive(from: "file:\(path)")
        #expect(await target.eventsToTheEnd().last == "M failed")
    }

    @Test func `T13: nobody listens`() async throws {
        let source = try await MigrationEndpoint()
        try await source.migrate(to: "unix:\(directory.file("nobody"))")
        try await expectFailed(source, events: ["M setup", "M failed"], reason: "no such file")
    }

    @Test func `T13: a file that cannot be opened fails the command itself`() async throws {
        let source = try await MigrationEndpoint()
        let uri = "file:\(directory.file("no/such/folder"))"
        await #expect(throws: MigrationError.self) { try await source.migrate(to: uri) }
        try await expectFailed(source, events: ["M setup", "M failed"], reason: "no such file")
    }

    @Test func `T14: the peer goes away while pages are sent`() async throws {
        let peer = try PlayedPeer(path: directory.file("peer"))
        let source = try await MigrationEndpoint(pageCount: 4096)
        source.fill(every: 1)
        let reader = try NamedThread.start(name: "test-reader") {
            guard let channel = try? peer.accept() else { return }
            PlayedPeer.drain(channel, upTo: 100_000)
            try? channel.close()
        }
        try await source.migrate(to: peer.uri)
        try await expectFailed(
            source,
            events: ["M setup", "P 1", "M active", "M failed"],
            reason: peer.path
        )
        joinFromAnyThread(reader)
    }

    @Test func `T14: a command ends at once`() async throws {
        let source = try await MigrationEndpoint(pageCount: 4096)
        source.fill(every: 1)
        try await source.migrate(to: "exec:exit 3")
        try await expectFailed(
            source,
            events: ["M setup", "P 1", "M active", "M failed"],
            reason: "exec:"
        )
    }

    @Test func `a command that took everything and then failed is a failure`() async throws {
        let source = try await MigrationEndpoint()
        try await source.migrate(to: "exec:cat > /dev/null; exit 3")
        try await expectFailed(
            source,
            events: [
                "M setup", "P 1", "M active", "STOP", "M device", "P 2", "M failed", "RESUME",
            ],
            reason: "3"
        )
        #expect(await source.runState == .postmigrate)
    }

    @Test(arguments: [true, false])
    func `T16: the destination refuses, or leaves without a word`(_ says: Bool) async throws {
        let peer = try PlayedPeer(path: directory.file("peer"))
        let source = try await MigrationEndpoint(capabilities: .returnPath)
        source.fill()
        let held = EventLog()
        let reader = try NamedThread.start(name: "test-reader") {
            guard let channel = try? peer.accept() else { return }
            if says {
                var bytes: [UInt8] = []
                ReturnPathMessage.pong(1).encode(into: &bytes)
                ReturnPathMessage.shut(1).encode(into: &bytes)
                try? bytes.withUnsafeBytes { try channel.write($0) }
            }
            // 1 MiB of pages and the records of the others: everything but the last few bytes.
            PlayedPeer.drain(channel, upTo: 1 << 20)
            held.note("read")
            while !held.events.contains("go") { sched_yield() }
            if says { PlayedPeer.drain(channel) }
            try? channel.close()
        }
        try await source.migrate(to: peer.uri)
        await held.wait(for: "read")
        await source.log.wait(forAnyOf: ["M device", "M failed"])
        held.note("go")
        try await expectFailed(
            source,
            events: [
                "M setup", "P 1", "M active", "STOP", "M device", "P 2", "M failed", "RESUME",
            ],
            // It may still be writing when the peer leaves.
            reason: says ? "destination reported" : peer.path
        )
        joinFromAnyThread(reader)
    }

    @Test func `T15: a yank fails what runs over a socket`() async throws {
        let peer = try PlayedPeer(path: directory.file("peer"))
        let source = try await MigrationEndpoint(pageCount: 4096)
        source.fill(every: 1)
        try await source.migrate(to: peer.uri)
        await source.log.wait(for: "M active")
        #expect(await source.controller.canYank)
        await source.controller.yank()
        try await expectFailed(
            source,
            events: ["M setup", "P 1", "M active", "M failed"],
            reason: "aborted"
        )
    }

    @Test(arguments: ["exec:cat > FILE", "unix:FILE", "tcp:127.0.0.1:1", "vsock:2:1"])
    func `mapped-ram over what can't seek is refused at once, with nothing created`(
        _ address: String
    ) async throws {
        let path = directory.file("image")
        let uri = address.replacing("FILE", with: path)
        let source = try await MigrationEndpoint(capabilities: .mappedRAM)
        let error = await #expect(throws: MigrationError.self) {
            try await source.migrate(to: uri)
        }
        #expect(error?.message.contains("'mapped-ram'") == true)
        #expect(source.log.events.isEmpty)
        #expect(await source.status == nil)
        #expect(access(path, F_OK) != 0)

        let target = try await MigrationEndpoint(isIncoming: true, capabilities: .mappedRAM)
        await #expect(throws: MigrationError.self) { try await target.receive(from: uri) }
        #expect(target.log.events.isEmpty)
        #expect(access(path, F_OK) != 0)
    }

    @Test func `mapped-ram over a pipe's descriptor is refused too`() async throws {
        var ends: [CInt] = [-1, -1]
        #expect(pipe(&ends) == 0)
        let reader = OwnedDescriptor(ends[0])
        let writer = OwnedDescriptor(ends[1])
        let source = try await MigrationEndpoint(capabilities: .mappedRAM)
        await #expect(throws: MigrationError.self) {
            try await source.migrate(to: "fd:end", resources: resources(["end": writer.raw]))
        }
        #expect(await source.status == nil)
        let target = try await MigrationEndpoint(isIncoming: true, capabilities: .mappedRAM)
        await #expect(throws: MigrationError.self) {
            try await target.receive(from: "fd:end", resources: resources(["end": reader.raw]))
        }
        #expect(await target.status == nil)
    }

    @Test(arguments: ["file:FILE", "exec:cat > FILE"])
    func `return-path where nobody can answer is refused at once`(
        _ address: String
    ) async throws {
        let path = directory.file("image")
        let source = try await MigrationEndpoint(capabilities: .returnPath)
        let error = await #expect(throws: MigrationError.self) {
            try await source.migrate(to: address.replacing("FILE", with: path))
        }
        #expect(error?.message.contains("'return-path'") == true)
        #expect(source.log.events.isEmpty)
        #expect(access(path, F_OK) != 0)
    }

    @Test func `an endpoint that waits for a guest has none to send`() async throws {
        let target = try await MigrationEndpoint(isIncoming: true)
        let path = directory.file("image")
        await #expect(throws: MigrationError.self) { try await target.migrate(to: "file:\(path)") }
        #expect(access(path, F_OK) != 0)
    }
}
