import BerthMemory
import BerthStream
import BerthTransport
import BerthWire
import Testing

/// Differences of pages, which QEMU sends with capability xbzrle.
@Suite(.timeLimit(.minutes(10)))
struct XBZRLEStreamTests {
    /// A stream whose RAM sections hold `records` after page 1 of one block was filled.
    private func stream(_ records: [UInt8], pageCount: Int = 4) throws -> (StreamFile, StreamGuest)
    {
        let guest = try StreamGuest(pageCounts: [pageCount])
        guest.fill(0, page: 1, version: 1)
        let file = try StreamFile()
        let writer = SequentialWriter(StreamOutput(try file.channel()))
        try guest.save(writer) {
            try writer.beginIteration()
            try writer.output.put(records)
            try writer.endIteration()
        }
        return (file, guest)
    }

    private func record(page: Int, _ delta: [UInt8], named: Bool) -> [UInt8] {
        var bytes: [UInt8] = []
        RAMWord(
            offset: UInt64(page * targetPageByteCount),
            flags: named ? .xbzrle : [.xbzrle, .continues]
        ).encode(into: &bytes)
        if named { bytes.appendName("block0") }
        // By hand: the codec refuses what a page can't have.
        bytes += [0x01, UInt8(delta.count >> 8), UInt8(truncatingIfNeeded: delta.count)]
        return bytes + delta
    }

    @Test func `a difference changes the page that is there`() throws {
        // Skip 16 bytes, write two; then at once a page that was zero.
        let records =
            record(page: 1, [0x10, 2, 0xaa, 0xbb], named: true)
            + record(page: 2, [0, 1, 0xcc], named: false)
        let (file, guest) = try stream(records)
        let target = try StreamGuest(like: guest)
        try load(try file.channel(), into: target)
        guest.blocks[0].base.storeBytes(of: 0xaa, toByteOffset: 4096 + 16, as: UInt8.self)
        guest.blocks[0].base.storeBytes(of: 0xbb, toByteOffset: 4096 + 17, as: UInt8.self)
        guest.blocks[0].base.storeBytes(of: 0xcc, toByteOffset: 2 * 4096, as: UInt8.self)
        #expect(target.digests == guest.digests)
    }

    @Test func `differences pass through both writers`() throws {
        let (file, guest) = try stream(record(page: 1, [0x10, 2, 0xaa, 0xbb], named: true))
        let plain = try StreamGuest(like: guest)
        try load(try file.channel(), into: plain)
        for layout in StreamLayout.allCases {
            let copy = try StreamFile()
            let relay = RelayReceiver(layout.writer(StreamOutput(try copy.channel())))
            let input = StreamInput(try file.channel())
            let stream = try StreamReader(input, receiver: relay).read()
            try relay.finish(stream)
            let target = try StreamGuest(like: guest)
            try load(try copy.channel(), into: target)
            #expect(target.digests == plain.digests, "\(layout)")
        }
    }

    @Test(arguments: [
        ("no second run", [0x10]), ("an empty run of changes", [0x10, 0]),
        ("past the page", [0xff, 0x1f, 2, 1, 2]), ("past the code", [0, 9, 1]),
        ("an endless length", [0x80, 0x80, 0x80, 0x01, 1, 1]),
        ("no gap", [0, 1, 5, 0, 1, 6]),
    ])
    func `a bad difference is an error`(_ what: String, _ delta: [UInt8]) throws {
        let (file, guest) = try stream(record(page: 1, delta, named: true))
        let target = try StreamGuest(like: guest)
        #expect {
            try load(try file.channel(), into: target)
        } throws: {
            ($0 as? StreamError)?.code == .malformed
        }
    }

    @Test func `a difference longer than a page is refused`() throws {
        let delta = [UInt8](repeating: 1, count: 4097)
        let (file, guest) = try stream(record(page: 1, delta, named: true))
        let target = try StreamGuest(like: guest)
        #expect(throws: StreamError.self) { try load(try file.channel(), into: target) }
    }
}

/// Passes what it receives to a writer, as the relay of images does.
final class RelayReceiver: StreamReceiver {
    private let writer: any GuestWriter
    private var configuration = ConfigurationSection(machineName: "")

    init(_ writer: any GuestWriter) { self.writer = writer }

    func accept(_ configuration: ConfigurationSection) throws(StreamError) {
        self.configuration = configuration
        self.configuration.capabilities.removeAll { $0 == "mapped-ram" }
    }

    func accept(
        _ blocks: [StreamBlock],
        ramSectionID: UInt32
    ) throws(StreamError) -> any PageSink {
        try writer.begin(
            StreamPlan(configuration: configuration, ramSectionID: ramSectionID),
            blocks: blocks,
            earlySections: []
        )
        try writer.beginIteration()
        return writer
    }

    func finish(_ stream: ReceivedStream) throws {
        try writer.endIteration()
        try writer.beginCompletion(announced: stream.hadSwitchoverStart)
        try writer.finish(
            deviceSections: stream.deviceState.final.encoded(footers: true),
            description: stream.deviceState.description ?? []
        )
    }

    func accept(section: SectionHeader.Identity) throws(StreamError) {}
    func kept(earlySections: [UInt8]) throws(StreamError) {}
    func answer(_ message: ReturnPathMessage) throws(StreamError) {}
    func progressed(_ progress: StreamProgress) throws(StreamError) {}
}
