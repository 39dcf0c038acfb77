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

/// A guest of real QEMU lies in an endpoint and is sent on.
@Suite(.timeLimit(.minutes(10)))
struct ForeignGuestTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    private static let early: [UInt8] = {
        var run = DeviceSectionRun()
        run.append(
            id: 90,
            identity: .init(name: "0000:00:04.0/virtio-mem-device-early", instance: 0, version: 1),
            body: [1, 2, 3, 4],
            footer: true
        )
        return run.encoded(footers: true)
    }()

    /// Writes a stream of a PC with RAM, a ROM and QEMU's own device sections.
    private func image(
        _ vector: String,
        romPageCount: Int = 32,
        earlySections: [UInt8] = [],
        isAnnounced: Bool
    ) throws -> (uri: String, tail: [UInt8]) {
        let path = directory.file("foreign")
        let file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT | O_TRUNC, mode: 0o600)
        let blocks = try [("ram", 512), ("pc.bios", romPageCount)].map {
            try RAMBlock(id: $0.0, byteCount: $0.1 * targetPageByteCount)
        }
        for block in blocks {
            block.base.storeBytes(of: 0x5a5a, toByteOffset: 0x1008, as: UInt64.self)
        }
        let tail = try HexVector.load(vector)
        let writer = SequentialWriter(StreamOutput(try Channel(file, name: path)))
        try writer.begin(
            StreamPlan(
                configuration: ConfigurationSection(machineName: "pc-i440fx-10.0"),
                ramSectionID: 7000
            ),
            blocks: blocks.map { StreamBlock(name: $0.id, byteCount: $0.byteCount) },
            earlySections: earlySections
        )
        try writer.beginIteration()
        for (index, block) in blocks.enumerated() {
            var dirty = PageBitmap(pageCount: block.pageCount, repeating: true)
            var page = 0
            _ = try GuestScanner(detectsZeroPages: true).send(
                block,
                index: index,
                dirty: &dirty,
                from: &page,
                limit: .max,
                to: writer
            )
        }
        try writer.endIteration()
        try writer.beginCompletion(announced: isAnnounced)
        try writer.finish(deviceSections: tail, description: [])
        // The vector has its own end; the writer's second one is cut off.
        let whole = try FileStatus(path: path).byteCount
        #expect(truncate(path, off_t(whole) - 6) == 0)
        return ("file:\(path)", tail)
    }

    private func bytes(of path: String) throws -> [UInt8] {
        let file = try OwnedDescriptor.open(path, O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: Int(try FileStatus(of: file.raw).byteCount))
        #expect(read(file.raw, &bytes, bytes.count) == bytes.count)
        return bytes
    }

    @Test(arguments: ["pc-qemu-10.0", "pc-qemu-7.2", "q35-qemu-10.0", "q35-qemu-7.2"])
    func `its stream comes out as it went in`(_ name: String) async throws {
        let (uri, tail) = try image(
            "device-state/\(name)",
            isAnnounced: name.hasSuffix("10.0")
        )
        let target = try await MigrationEndpoint(
            machineType: "pc-i440fx-10.0",
            isIncoming: true
        )
        try await target.receive(from: uri)
        // The captured guest never ran.
        #expect(await target.eventsToTheEnd() == ["M setup", "M active", "M completed"])
        #expect(await target.controller.info.errorDesc == nil)
        #expect(await target.runState == .prelaunch)
        #expect(await target.controller.blocks.map(\.id) == ["ram", "pc.bios"])

        target.log.clear()
        let path = directory.file("again")
        try await target.migrate(to: "file:\(path)")
        #expect(await target.eventsToTheEnd() == quietSave.filter { $0 != "STOP" })
        let first = try bytes(of: String(uri.dropFirst("file:".count)))
        let second = try bytes(of: path)
        #expect(second.suffix(tail.count) == first.suffix(tail.count))
        // Rounds may differ by an empty one; what is RAM is compared by the tests of streams.
        #expect(second.prefix(60) == first.prefix(60))
    }

    @Test func `sections before the pages come before the pages again`() async throws {
        let (uri, _) = try image(
            "device-state/pc-qemu-10.0",
            earlySections: Self.early,
            isAnnounced: true
        )
        let target = try await MigrationEndpoint(
            machineType: "pc-i440fx-10.0",
            isIncoming: true
        )
        try await target.receive(from: uri)
        #expect(await target.eventsToTheEnd().last == "M completed")
        for isMapped in [false, true] {
            try await target.controller.resume()
            try await target.controller.setCapabilities([
                .init(capability: .mappedRAM, state: isMapped)
            ])
            target.log.clear()
            let path = directory.file("again-\(isMapped)")
            try await target.migrate(to: "file:\(path)")
            #expect(await target.eventsToTheEnd().last == "M completed")
            let channel = try Channel(
                OwnedDescriptor.open(path, O_RDONLY),
                name: path
            )
            let sink = EarlyWatcher()
            let stream = try StreamReader(StreamInput(channel), receiver: sink).read()
            #expect(sink.early == Self.early)
            #expect(sink.pageCountBeforeEarly == 0)
            #expect(stream.deviceState.globalState?.runState == "running")
            #expect(stream.ramSectionID == 7000)
        }
    }

    @Test func `blocks that the endpoint does not declare have a limit`() async throws {
        let path = directory.file("claim")
        var bytes: [UInt8] = []
        StreamHeader().encode(into: &bytes)
        ConfigurationSection(machineName: "pc").encode(into: &bytes)
        SectionHeader(
            full: false,
            id: 1,
            identity: .init(name: "ram", instance: 0, version: 4)
        ).encode(into: &bytes)
        let size: UInt64 = 1 << 40
        RAMWord(offset: size, flags: .blockList).encode(into: &bytes)
        RAMBlockRecord(name: "vga.vram", usedLength: size).encode(into: &bytes)
        let file = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT, mode: 0o600)
        #expect(write(file.raw, bytes, bytes.count) == bytes.count)
        let target = try await MigrationEndpoint(machineType: "pc", isIncoming: true)
        try await target.receive(from: "file:\(path)")
        #expect(await target.eventsToTheEnd().last == "M failed")
        let reason = await target.controller.info.errorDesc
        #expect(reason?.contains("'vga.vram'") == true)
        #expect(reason?.contains("1073741824") == true, "the limit is named")
    }
}

/// Notes when early sections came; takes pages into nothing.
private final class EarlyWatcher: StreamReceiver, PageSink {
    var early: [UInt8] = []
    var pageCountBeforeEarly: Int?
    private var pageCount = 0

    func accept(_ configuration: ConfigurationSection) throws(StreamError) {}

    func accept(
        _ blocks: [StreamBlock],
        ramSectionID: UInt32
    ) throws(StreamError) -> any PageSink { self }

    func accept(section: SectionHeader.Identity) throws(StreamError) {}

    func kept(earlySections: [UInt8]) throws(StreamError) {
        guard !earlySections.isEmpty else { return }
        early += earlySections
        pageCountBeforeEarly = pageCount
    }

    func answer(_ message: ReturnPathMessage) throws(StreamError) {}
    func progressed(_ progress: StreamProgress) throws(StreamError) {}
    func write(_ run: DataRun) throws(StreamError) { pageCount += run.byteCount / 4096 }

    func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        pageCount += byteCount / 4096
    }

    func apply(_ delta: PageDelta) throws(StreamError) {}
}
