import BerthMemory
import BerthMigration
import BerthQAPI
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

/// A load that fails never starts the guest, says why, and can be tried again.
@Suite(.timeLimit(.minutes(10)))
struct IncomingFailureTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    /// Saves a guest and gives the image's address.
    private func image(
        _ source: MigrationEndpoint,
        name: String = "image",
        isMapped: Bool = false
    ) async throws -> String {
        try await source.controller.setCapabilities([
            .init(capability: .mappedRAM, state: isMapped)
        ])
        source.fill()
        let uri = "file:\(directory.file(name))"
        try await source.migrate(to: uri)
        #expect(await source.eventsToTheEnd().last == "M completed")
        return uri
    }

    private func expectRefused(
        _ target: MigrationEndpoint,
        _ uri: String,
        reasons: String...
    ) async throws {
        try await target.receive(from: uri)
        #expect(await target.eventsToTheEnd() == ["M setup", "M active", "M failed"])
        let info = await target.controller.info
        #expect(info.status == .failed && info.socketAddress == nil)
        for reason in reasons {
            #expect(info.errorDesc?.contains(reason) == true, "\(info.errorDesc ?? "none")")
        }
        #expect(await target.runState == .inmigrate)
        #expect(target.exits.events.isEmpty)
        // What was asked for before the failure doesn't start a guest that isn't there.
        try await target.controller.resume()
        #expect(await target.runState == .inmigrate)
        #expect(!target.log.events.contains("RESUME"))
    }

    @Test func `capability mapped-ram at the source only`() async throws {
        let uri = try await image(try await MigrationEndpoint(), isMapped: true)
        let target = try await MigrationEndpoint(isIncoming: true)
        try await expectRefused(target, uri, reasons: "mapped-ram", "off on the destination")
        #expect(target.isZero, "no page was loaded")
    }

    @Test func `capability mapped-ram at the destination only`() async throws {
        let uri = try await image(try await MigrationEndpoint())
        let target = try await MigrationEndpoint(isIncoming: true, capabilities: .mappedRAM)
        try await expectRefused(target, uri, reasons: "mapped-ram", "source saved with it off")
        #expect(target.isZero, "no page was loaded")
    }

    @Test func `another machine`() async throws {
        let uri = try await image(try await MigrationEndpoint(machineType: "pc-i440fx-10.0"))
        let target = try await MigrationEndpoint(machineType: "pc-q35-10.0", isIncoming: true)
        try await expectRefused(target, uri, reasons: "pc-i440fx-10.0", "pc-q35-10.0")
        #expect(target.isZero)
    }

    @Test func `another block`() async throws {
        let uri = try await image(try await MigrationEndpoint(blockName: "mem0"))
        let target = try await MigrationEndpoint(isIncoming: true)
        try await expectRefused(target, uri, reasons: "'mem0'", "'ram'")
        #expect(target.isZero)
    }

    @Test func `another size`() async throws {
        let uri = try await image(try await MigrationEndpoint(pageCount: 256))
        let target = try await MigrationEndpoint(isIncoming: true)
        try await expectRefused(target, uri, reasons: "'ram'", "1048576", "2097152")
        #expect(target.isZero)
    }

    @Test func `a block of this endpoint that the stream has not`() async throws {
        let uri = try await image(
            try await MigrationEndpoint(pageCount: 0 + 1, machineType: "pc", blockName: "pc.bios")
        )
        let target = try await MigrationEndpoint(machineType: "pc", isIncoming: true)
        try await expectRefused(target, uri, reasons: "no RAM block 'ram'", "'pc.bios'")
    }

    @Test func `another UUID, where the source sends it`() async throws {
        let ours = try #require(GuestUUID("00112233-4455-6677-8899-aabbccddeeff"))
        let theirs = try #require(GuestUUID("00112233-4455-6677-8899-aabbccddee00"))
        let source = try await MigrationEndpoint(uuid: theirs, capabilities: .validateUUID)
        let uri = try await image(source)
        let target = try await MigrationEndpoint(uuid: ours, isIncoming: true)
        try await expectRefused(target, uri, reasons: "\(theirs)", "\(ours)")
        let any = try await MigrationEndpoint(isIncoming: true)
        try await any.receive(from: uri)
        #expect(await any.eventsToTheEnd().last == "M completed")
    }

    /// A stream of one block `ram` without content, whose tail a test replaces.
    private func stream(pageCount: Int, tail: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        StreamHeader().encode(into: &bytes)
        ConfigurationSection(machineName: "none").encode(into: &bytes)
        SectionHeader(
            full: false,
            id: 1,
            identity: .init(name: "ram", instance: 0, version: 4)
        ).encode(into: &bytes)
        let byteCount = UInt64(pageCount * targetPageByteCount)
        RAMWord(offset: byteCount, flags: .blockList).encode(into: &bytes)
        RAMBlockRecord(name: "ram", usedLength: byteCount).encode(into: &bytes)
        RAMWord(offset: 0, flags: .endOfSection).encode(into: &bytes)
        SectionFooter(id: 1).encode(into: &bytes)
        return bytes + tail
    }

    private func section(_ name: String, _ body: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        SectionHeader(full: true, id: 5, identity: .init(name: name, instance: 0, version: 1))
            .encode(into: &bytes)
        bytes += body
        SectionFooter(id: 5).encode(into: &bytes)
        return bytes
    }

    private func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        let path = directory.file(name)
        let file = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        let count = bytes.withUnsafeBytes { write(file.raw, $0.baseAddress, $0.count) }
        #expect(count == bytes.count)
        return "file:\(path)"
    }

    @Test func `an unknown section`() async throws {
        let tail = section("0000:00:02.0/e1000", [1, 2, 3]) + [0, 6, 0, 0, 0, 0]
        let uri = try file("image", stream(pageCount: 512, tail: tail))
        let target = try await MigrationEndpoint(isIncoming: true)
        try await expectRefused(target, uri, reasons: "'0000:00:02.0/e1000'")
    }

    @Test(arguments: ["finish-migrate", "inmigrate", "postmigrate", "save-vm", "flying", ""])
    func `a run state that no source can be in`(_ name: String) async throws {
        var body: [UInt8] = []
        GlobalState(runState: name).encode(into: &body)
        let tail = section("globalstate", body) + [0, 6, 0, 0, 0, 0]
        let uri = try file("image", stream(pageCount: 512, tail: tail))
        let target = try await MigrationEndpoint(isIncoming: true)
        try await expectRefused(target, uri, reasons: "run state")
    }

    @Test(arguments: ["", "Not a stream at all", "QEVM"])
    func `what is no stream`(_ text: String) async throws {
        let uri = try file("image", Array(text.utf8))
        let target = try await MigrationEndpoint(isIncoming: true)
        try await target.receive(from: uri)
        let events = await target.eventsToTheEnd()
        #expect(events.last == "M failed")
        #expect(await target.controller.info.errorDesc?.isEmpty == false)
        #expect(await target.runState == .inmigrate)
    }

    @Test func `D3: after a failed load the next one works`() async throws {
        let source = try await MigrationEndpoint()
        let uri = try await image(source)
        let bad = try file("bad", stream(pageCount: 512, tail: [0x77]))
        let target = try await MigrationEndpoint(isIncoming: true)
        try await expectRefused(target, bad, reasons: "0x77")
        target.log.clear()
        try await target.receive(from: uri)
        #expect(await target.controller.info.errorDesc == nil)
        #expect(
            await target.eventsToTheEnd() == ["M setup", "M active", "RESUME", "M completed"]
        )
        #expect(target.digest == source.digest)
    }

    @Test func `nothing of a failed load is left in the next guest`() async throws {
        // The first stream brings pages and breaks, the second mentions none of them.
        let source = try await MigrationEndpoint()
        let path = try await image(source).dropFirst("file:".count)
        #expect(truncate(String(path), 600_000) == 0)
        let empty = try file("empty", stream(pageCount: 512, tail: [0, 6, 0, 0, 0, 0]))
        let target = try await MigrationEndpoint(isIncoming: true)
        try await expectRefused(target, "file:\(path)", reasons: "ends inside")
        target.log.clear()
        try await target.receive(from: empty)
        #expect(await target.eventsToTheEnd().last == "M completed")
        #expect(target.isZero)
    }

    @Test func `D4: with exit-on-error a failed load ends the process with status 1`() async throws
    {
        let bad = try file("bad", stream(pageCount: 512, tail: [0x77]))
        let target = try await MigrationEndpoint(isIncoming: true)
        try await target.receive(from: bad, exitOnError: true)
        await target.exits.wait { $0.count == 1 }
        #expect(target.exits.events.first?.hasPrefix("1: ") == true)
        #expect(target.exits.events.first?.contains("0x77") == true)
        #expect(await target.runState == .inmigrate)
    }

    @Test func `an address that cannot be opened leaves the way open`() async throws {
        let source = try await MigrationEndpoint()
        let uri = try await image(source)
        let target = try await MigrationEndpoint(isIncoming: true)
        for bad in [
            "file:\(directory.file("missing"))", "unix:\(directory.file("no/such/folder"))",
            "fd:nothing",
        ] {
            target.log.clear()
            await #expect(throws: MigrationError.self) { try await target.receive(from: bad) }
            #expect(await target.status == nil)
        }
        target.log.clear()
        try await target.receive(from: uri)
        #expect(await target.eventsToTheEnd().last == "M completed")
        #expect(target.digest == source.digest)
    }

    @Test func `a second migrate-incoming beside the first, or after it, is refused`() async throws
    {
        let target = try await MigrationEndpoint(isIncoming: true)
        let uri = "unix:\(directory.file("socket"))"
        try await target.receive(from: uri)
        await #expect(throws: MigrationError.self) { try await target.receive(from: uri) }
        #expect(await target.status == .setup)
        let source = try await MigrationEndpoint()
        try await source.migrate(to: uri)
        #expect(await target.eventsToTheEnd().last == "M completed")
        await #expect(throws: MigrationError.self) { try await target.receive(from: uri) }
        let fresh = try await MigrationEndpoint()
        await #expect(throws: MigrationError.self) { try await fresh.receive(from: uri) }
    }

    @Test func `the source learns of a refusal through the return path`() async throws {
        let source = try await MigrationEndpoint(pageCount: 4096, capabilities: .returnPath)
        source.fill(every: 1)
        let target = try await MigrationEndpoint(isIncoming: true)
        let uri = "unix:\(directory.file("socket"))"
        try await target.receive(from: uri)
        try await source.migrate(to: uri)
        #expect(await source.eventsToTheEnd() == ["M setup", "P 1", "M active", "M failed"])
        let reason = await source.controller.info.errorDesc
        #expect(reason?.contains("destination reported") == true, "\(reason ?? "none")")
        #expect(await target.eventsToTheEnd().last == "M failed")
        #expect(await source.runState == .running)
    }

    @Test func `a command that dies without a byte is a failure with its status`() async throws {
        let target = try await MigrationEndpoint(isIncoming: true)
        try await target.receive(from: "exec:exit 7")
        #expect(await target.eventsToTheEnd() == ["M setup", "M failed"])
        let reason = await target.controller.info.errorDesc
        #expect(reason?.contains("7") == true, "\(reason ?? "none")")
        #expect(await target.runState == .inmigrate)
    }

    @Test func `a command that dies in the middle is a failure`() async throws {
        let source = try await MigrationEndpoint()
        let path = try await image(source).dropFirst("file:".count)
        let target = try await MigrationEndpoint(isIncoming: true)
        try await target.receive(from: "exec:head -c 300000 \(path)")
        #expect(await target.eventsToTheEnd() == ["M setup", "M active", "M failed"])
        #expect(await target.controller.info.errorDesc?.contains("ends inside") == true)
    }

    @Test func `a yank fails what comes in over a socket`() async throws {
        let peer = directory.file("socket")
        let target = try await MigrationEndpoint(isIncoming: true)
        try await target.receive(from: "unix:\(peer)")
        let source = try await MigrationEndpoint(capabilities: .pauseBeforeSwitchover)
        try await source.migrate(to: "unix:\(peer)")
        await target.log.wait(for: "M active")
        await source.log.wait(for: "M pre-switchover")
        #expect(await target.controller.canYank)
        await target.controller.yank()
        #expect(await target.eventsToTheEnd() == ["M setup", "M active", "M failed"])
        try await source.controller.proceed(from: .preSwitchover)
        #expect(await source.eventsToTheEnd().contains("M failed"))
        await source.log.wait(for: "RESUME")
        #expect(await source.runState == .running)
    }
}
