import BerthMemory
import BerthStream
import BerthSystem
import BerthTransport
import BerthWire
import Glibc
import Testing

/// A guest that a test saves, and that it loads again to compare.
struct StreamGuest {
    var blocks: [RAMBlock]

    /// Makes zeroed blocks of these page counts, named `block0`, `block1`, ….
    init(pageCounts: [Int]) throws {
        blocks = try pageCounts.enumerated().map {
            try RAMBlock(id: "block\($0.offset)", byteCount: $0.element * targetPageByteCount)
        }
    }

    /// Makes zeroed blocks of the same names and sizes.
    init(like other: StreamGuest) throws {
        blocks = try other.blocks.map { try RAMBlock(id: $0.id, byteCount: $0.byteCount) }
    }

    /// Fills a page with a pattern that tells it from every other page; `version` 0 clears it.
    func fill(_ block: Int, page: Int, version: UInt64) {
        let base = blocks[block].base + page * targetPageByteCount
        for offset in stride(from: 0, to: targetPageByteCount, by: 8) {
            let word = version == 0 ? 0 : version << 40 | UInt64(block) << 32 | UInt64(page) << 12
            base.storeBytes(
                of: word + (version == 0 ? 0 : UInt64(offset)),
                toByteOffset: offset,
                as: UInt64.self
            )
        }
    }

    var listed: [StreamBlock] {
        blocks.map { StreamBlock(name: $0.id, byteCount: $0.byteCount) }
    }

    var digests: [UInt64] { blocks.map(\.digest) }

    func page(_ block: Int, _ page: Int) -> [UInt8] {
        let base = blocks[block].base + page * targetPageByteCount
        return Array(UnsafeRawBufferPointer(start: base, count: targetPageByteCount))
    }

    /// Sends the pages whose bits are set in one iteration.
    func iterate(
        _ writer: any GuestWriter,
        pages: (Int) -> Range<Int> = { _ in 0..<Int.max },
        detectsZeroPages: Bool = true
    ) throws {
        try writer.beginIteration()
        try send(writer, pages: pages, detectsZeroPages: detectsZeroPages)
        try writer.endIteration()
    }

    /// Sends pages inside the present iteration.
    func send(
        _ writer: any GuestWriter,
        pages: (Int) -> Range<Int> = { _ in 0..<Int.max },
        detectsZeroPages: Bool = true
    ) throws {
        let scanner = GuestScanner(detectsZeroPages: detectsZeroPages)
        for (index, block) in blocks.enumerated() {
            var dirty = PageBitmap(pageCount: block.pageCount)
            dirty.set(pages(index).clamped(to: 0..<block.pageCount), to: true)
            var next = 0
            while next < block.pageCount {
                _ = try scanner.send(
                    block,
                    index: index,
                    dirty: &dirty,
                    from: &next,
                    limit: 7,
                    to: writer
                )
            }
        }
    }

    /// Saves the whole guest: all pages once, then what `rounds` does, then the end.
    func save(
        _ writer: any GuestWriter,
        machineName: String = "none",
        opensReturnPath: Bool = false,
        earlySections: [UInt8] = [],
        deviceState: DeviceState? = nil,
        rounds: () throws -> Void = {}
    ) throws {
        let state =
            deviceState ?? DeviceState.fresh(runState: "running", machineName: machineName)
        try writer.begin(
            StreamPlan(
                configuration: ConfigurationSection(machineName: machineName),
                opensReturnPath: opensReturnPath
            ),
            blocks: listed,
            earlySections: earlySections
        )
        try iterate(writer)
        try rounds()
        try writer.beginCompletion(announced: true)
        try writer.finish(
            deviceSections: state.final.encoded(footers: true),
            description: state.description ?? []
        )
    }
}

/// The layouts, for tests that hold for both.
enum StreamLayout: String, CaseIterable, CustomTestStringConvertible {
    case sequential, mapped

    var testDescription: String { rawValue }

    func writer(_ output: StreamOutput) -> any GuestWriter {
        switch self {
        case .sequential: SequentialWriter(output)
        case .mapped: MappedWriter(output)
        }
    }
}

/// Takes a stream into a guest and remembers what it was asked.
final class StreamTestReceiver: StreamReceiver {
    let guest: StreamGuest
    var configuration: ConfigurationSection?
    var listed: [StreamBlock] = []
    var sections: [String] = []
    var early: [UInt8] = []
    var answers: [ReturnPathMessage] = []
    var acknowledgesSwitchover = false
    /// Pages that came before early sections; nil if there were none of these.
    var pageCountBeforeEarly: UInt64?
    private var pageCount: UInt64 = 0
    /// Replaces the sink for the guest's memory.
    var sink: (any PageSink)?

    init(_ guest: StreamGuest) { self.guest = guest }

    func accept(_ configuration: ConfigurationSection) throws(StreamError) {
        self.configuration = configuration
    }

    func accept(
        _ blocks: [StreamBlock],
        ramSectionID: UInt32
    ) throws(StreamError) -> any PageSink {
        listed = blocks
        if let sink { return sink }
        var own: [RAMBlock] = []
        for block in blocks {
            guard
                let match = guest.blocks.first(where: {
                    $0.id == block.name && $0.byteCount == block.byteCount
                })
            else { throw StreamError(.mismatch, "no block '\(block.name)'") }
            own.append(match)
        }
        return GuestMemorySink(own)
    }

    func accept(section: SectionHeader.Identity) throws(StreamError) {
        sections.append(section.name)
    }

    func kept(earlySections: [UInt8]) throws(StreamError) {
        if !earlySections.isEmpty {
            early += earlySections
            pageCountBeforeEarly = pageCount
        }
    }

    func answer(_ message: ReturnPathMessage) throws(StreamError) { answers.append(message) }

    func progressed(_ progress: StreamProgress) throws(StreamError) {
        pageCount = progress.dataPageCount + progress.zeroPageCount
    }
}

/// A file without a name, gone with its last channel.
struct StreamFile {
    let raw: CInt
    private let owner: Channel

    /// Makes a file with this content.
    init(_ bytes: [UInt8] = []) throws {
        var template = Array("/tmp/berth-stream-XXXXXX".utf8CString)
        raw = try SystemCall.check("mkstemp", "file") { mkstemp(&template) }
        unlink(template)
        owner = try Channel(OwnedDescriptor(raw), name: "file:test")
        try replace(with: bytes)
    }

    /// Changes the whole content.
    func replace(with bytes: [UInt8]) throws {
        try SystemCall.check("ftruncate", "file") { ftruncate(raw, 0) }
        try write(bytes, at: 0)
    }

    func write(_ bytes: [UInt8], at offset: Int) throws {
        _ = try SystemCall.check("pwrite", "file") {
            bytes.withUnsafeBytes { pwrite(raw, $0.baseAddress, $0.count, off_t(offset)) }
        }
    }

    /// A channel of its own that begins at `offset`.
    func channel(at offset: Int = 0) throws -> Channel {
        // A position of its own needs an open file description of its own.
        let descriptor = try OwnedDescriptor.open("/proc/self/fd/\(raw)", O_RDWR)
        lseek(descriptor.raw, off_t(offset), SEEK_SET)
        return try Channel(descriptor, name: "file:test")
    }

    var bytes: [UInt8] {
        get throws { try Self.content(of: raw) }
    }

    /// All bytes of a file by path.
    static func content(of path: String) throws -> [UInt8] {
        let descriptor = try OwnedDescriptor.open(path, O_RDONLY)
        return try content(of: descriptor.raw)
    }

    private static func content(of raw: CInt) throws -> [UInt8] {
        let count = try Int(FileStatus(of: raw).byteCount)
        var bytes = [UInt8](repeating: 0, count: count)
        let got = bytes.withUnsafeMutableBytes { pread(raw, $0.baseAddress, count, 0) }
        #expect(got == count)
        return bytes
    }
}

/// Reads the stream of a channel into a guest.
@discardableResult
func load(
    _ channel: Channel,
    into guest: StreamGuest,
    receiver: StreamTestReceiver? = nil
) throws -> ReceivedStream {
    let input = StreamInput(channel, position: channel.position ?? 0)
    return try StreamReader(input, receiver: receiver ?? StreamTestReceiver(guest)).read()
}

/// Two ends of a connection: where to write, where to read.
func connection(_ kind: String) throws -> (writer: Channel, reader: Channel) {
    switch kind {
    case "pipe":
        var ends: [CInt] = [-1, -1]
        try SystemCall.check("pipe2", "") { pipe(&ends) }
        return (
            try Channel(OwnedDescriptor(ends[1]), name: "pipe"),
            try Channel(OwnedDescriptor(ends[0]), name: "pipe")
        )
    default:
        var ends: [CInt] = [-1, -1]
        try SystemCall.check("socketpair", "") {
            socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends)
        }
        return (
            try Channel(OwnedDescriptor(ends[1]), name: "socket"),
            try Channel(OwnedDescriptor(ends[0]), name: "socket")
        )
    }
}
