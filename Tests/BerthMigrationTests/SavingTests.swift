import BerthMemory
import BerthMigration
import BerthQAPI
import BerthSystem
import BerthTestSupport
import BerthTransport
import Glibc
import Testing

/// Saves to files, commands and descriptors, and what is loaded from them.
@Suite(.timeLimit(.minutes(10)))
struct SavingTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    private func expectRestored(
        _ source: MigrationEndpoint,
        from uri: String,
        isMapped: Bool = false,
        events: [String] = ["M setup", "M active", "RESUME", "M completed"],
        runState: RunState = .running,
        resources: TransportResources = TransportResources()
    ) async throws {
        let target = try await MigrationEndpoint(isIncoming: true)
        if isMapped {
            try await target.controller.setCapabilities([
                .init(capability: .mappedRAM, state: true)
            ])
        }
        try await target.receive(from: uri, resources: resources)
        #expect(await target.eventsToTheEnd() == events)
        #expect(await target.controller.info.errorDesc == nil)
        #expect(target.digest == source.digest)
        #expect(await target.runState == runState)
        #expect(await target.status == .completed)
    }

    @Test(arguments: [false, true])
    func `T1, T4, D1: a running guest to a file and back`(_ isMapped: Bool) async throws {
        for suffix in ["", ",offset=0x5000"] {
            let source = try await MigrationEndpoint()
            if isMapped {
                try await source.controller.setCapabilities([
                    .init(capability: .mappedRAM, state: true)
                ])
            }
            source.fill()
            let uri = "file:\(directory.file("image\(isMapped)"))\(suffix)"
            try await source.migrate(to: uri)
            #expect(await source.eventsToTheEnd() == quietSave)
            #expect(await source.runState == .postmigrate)
            try await expectRestored(source, from: uri, isMapped: isMapped)
        }
    }

    @Test func `T2, D2: a paused guest stays paused`() async throws {
        let source = try await MigrationEndpoint()
        source.fill()
        try await source.controller.stop()
        source.log.clear()
        let uri = "file:\(directory.file("image"))"
        try await source.migrate(to: uri)
        #expect(await source.eventsToTheEnd() == quietSave.filter { $0 != "STOP" })
        #expect(await source.runState == .postmigrate)
        try await expectRestored(
            source,
            from: uri,
            events: ["M setup", "M active", "M completed"],
            runState: .paused
        )
    }

    @Test func `T3, D2: a guest that never ran goes on being one`() async throws {
        let source = try await MigrationEndpoint(autostart: false)
        let uri = "file:\(directory.file("image"))"
        try await source.migrate(to: uri)
        #expect(await source.eventsToTheEnd() == quietSave.filter { $0 != "STOP" })
        try await expectRestored(
            source,
            from: uri,
            events: ["M setup", "M active", "M completed"],
            runState: .prelaunch
        )
    }

    @Test func `D2: with -S a running guest arrives paused`() async throws {
        let source = try await MigrationEndpoint()
        let uri = "file:\(directory.file("image"))"
        try await source.migrate(to: uri)
        _ = await source.eventsToTheEnd()
        let target = try await MigrationEndpoint(isIncoming: true, autostart: false)
        try await target.receive(from: uri)
        #expect(await target.eventsToTheEnd() == ["M setup", "M active", "M completed"])
        #expect(await target.runState == .paused)
        try await target.controller.resume()
        #expect(await target.runState == .running)
        #expect(target.log.events.last == "RESUME")
    }

    @Test func `T24, D11: without the capability only STOP and RESUME`() async throws {
        let source = try await MigrationEndpoint()
        try await source.controller.setCapabilities([.init(capability: .events, state: false)])
        let path = directory.file("image")
        try await source.migrate(to: "file:\(path)")
        while await source.status != .completed { await Task.yield() }
        #expect(source.log.events == ["STOP"])
    }

    @Test func `a command takes the stream and gives it back`() async throws {
        let source = try await MigrationEndpoint()
        source.fill()
        let path = directory.file("image")
        try await source.migrate(to: "exec:cat > \(path)")
        #expect(await source.eventsToTheEnd() == quietSave)
        try await expectRestored(source, from: "exec:cat \(path)")
    }

    @Test(arguments: [false, true])
    func `a descriptor of a regular file does for both layouts`(_ isMapped: Bool) async throws {
        let source = try await MigrationEndpoint()
        try await source.controller.setCapabilities([
            .init(capability: .mappedRAM, state: isMapped)
        ])
        source.fill()
        let path = directory.file("image")
        let file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        try await source.migrate(to: "fd:image", resources: resources(["image": file.raw]))
        #expect(await source.eventsToTheEnd() == quietSave)
        lseek(file.raw, 0, SEEK_SET)
        try await expectRestored(
            source,
            from: "fd:image",
            isMapped: isMapped,
            resources: resources(["image": file.raw])
        )
    }

    @Test func `a saved guest is sent again only after cont or a reset`() async throws {
        let source = try await MigrationEndpoint()
        let uri = "file:\(directory.file("image"))"
        try await source.migrate(to: uri)
        _ = await source.eventsToTheEnd()
        await #expect(throws: MigrationError.self) { try await source.migrate(to: uri) }
        #expect(await source.status == .completed)
        try await source.controller.resume()
        source.log.clear()
        try await source.migrate(to: uri)
        #expect(await source.eventsToTheEnd() == quietSave)
        await source.controller.reset()
        #expect(await source.runState == .prelaunch)
        source.log.clear()
        try await source.migrate(to: uri)
        #expect(await source.eventsToTheEnd() == quietSave.filter { $0 != "STOP" })
    }

    @Test func `a guest that was loaded is saved with its own stream's frame`() async throws {
        let source = try await MigrationEndpoint()
        source.fill()
        let first = directory.file("first")
        try await source.migrate(to: "file:\(first)")
        _ = await source.eventsToTheEnd()
        let target = try await MigrationEndpoint(isIncoming: true)
        try await target.receive(from: "file:\(first)")
        _ = await target.eventsToTheEnd()
        target.log.clear()
        let second = directory.file("second")
        try await target.migrate(to: "file:\(second)")
        #expect(await target.eventsToTheEnd() == quietSave)
        #expect(try bytes(of: first) == bytes(of: second))
        try await expectRestored(source, from: "file:\(second)")
    }

    private func bytes(of path: String) throws -> [UInt8] {
        let file = try OwnedDescriptor.open(path, O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: Int(try FileStatus(of: file.raw).byteCount))
        let count = read(file.raw, &bytes, bytes.count)
        #expect(count == bytes.count)
        return bytes
    }
}
