import BerthImages
import BerthMemory
import BerthStream
import BerthSystem
import BerthTransport
import BerthWire
import Glibc
import Synchronization
import Testing

/// A guest whose stream is relayed, with a stream of its own making.
struct RelayGuest {
    let blocks: [RAMBlock]

    /// Makes blocks with zero pages, pages with content, and runs of both.
    init(pageCounts: [Int], filled: Bool = true) throws {
        blocks = try pageCounts.enumerated().map {
            try RAMBlock(id: "block\($0.offset)", byteCount: $0.element * targetPageByteCount)
        }
        guard filled else { return }
        for (index, block) in blocks.enumerated() {
            for page in 0..<block.pageCount where page % 7 < 3 || page % 2 == 0 {
                fill(index, page, version: 1)
            }
        }
    }

    func fill(_ block: Int, _ page: Int, version: UInt64) {
        let base = blocks[block].base + page * targetPageByteCount
        for offset in stride(from: 0, to: targetPageByteCount, by: 8) {
            let word = version << 40 | UInt64(block) << 32 | UInt64(page * 4096 + offset)
            base.storeBytes(of: version == 0 ? 0 : word, toByteOffset: offset, as: UInt64.self)
        }
    }

    var digests: [UInt64] { blocks.map(\.digest) }

    var listed: [StreamBlock] {
        blocks.map { StreamBlock(name: $0.id, byteCount: $0.byteCount) }
    }

    /// Sections that come before the first page, as virtio-mem's do.
    static var earlySections: [UInt8] {
        var run = DeviceSectionRun()
        run.append(
            id: 90,
            identity: .init(name: "0000:00:04.0/virtio-mem-device-early", instance: 0, version: 1),
            body: [1, 2, 3, 4],
            footer: true
        )
        return run.encoded(footers: true)
    }

    /// Saves the guest, with two rounds; in the first block's first pages data becomes zero and
    /// zero data.
    func save(
        to channel: Channel,
        as format: ImageFormat = .sequential,
        opensReturnPath: Bool = false,
        hasEarlySections: Bool = false
    ) throws {
        let output = StreamOutput(channel, position: channel.position ?? 0)
        let writer: any GuestWriter =
            format == .sequential ? SequentialWriter(output) : MappedWriter(output)
        try save(
            with: writer,
            opensReturnPath: opensReturnPath,
            hasEarlySections: hasEarlySections
        )
    }

    /// The same with any writer.
    func save(
        with writer: any GuestWriter,
        opensReturnPath: Bool = false,
        hasEarlySections: Bool = false
    ) throws {
        try writer.begin(
            StreamPlan(
                configuration: ConfigurationSection(machineName: "pc-q35-10.0"),
                ramSectionID: 2,
                opensReturnPath: opensReturnPath
            ),
            blocks: listed,
            earlySections: hasEarlySections ? Self.earlySections : []
        )
        try iterate(writer)
        if let first = blocks.first {
            for page in 0..<min(8, first.pageCount) {
                fill(0, page, version: page % 2 == 0 ? 0 : 3)
            }
        }
        try iterate(writer, isSecondPass: true)
        try writer.beginCompletion(announced: true)
        var state = DeviceState.fresh(runState: "running", machineName: "pc-q35-10.0")
        if hasEarlySections {
            state.description = nil
        }
        try writer.finish(
            deviceSections: state.final.encoded(footers: true),
            description: state.description ?? []
        )
    }

    private func iterate(_ writer: any GuestWriter, isSecondPass: Bool = false) throws {
        try writer.beginIteration()
        if isSecondPass { try writer.endPass() }
        let scanner = GuestScanner(detectsZeroPages: true)
        for (index, block) in blocks.enumerated() {
            var dirty = PageBitmap(pageCount: block.pageCount, repeating: true)
            var page = 0
            while page < block.pageCount {
                _ = try scanner.send(
                    block,
                    index: index,
                    dirty: &dirty,
                    from: &page,
                    limit: 100,
                    to: writer
                )
            }
        }
        try writer.endIteration()
    }
}

/// Loads a stream into a fresh guest of the same blocks.
final class RelayLoader: StreamReceiver {
    let guest: RelayGuest
    private(set) var early: [UInt8] = []
    private(set) var machineName = ""

    init(_ pageCounts: [Int]) throws {
        guest = try RelayGuest(pageCounts: pageCounts, filled: false)
    }

    @discardableResult
    func load(_ channel: Channel) throws -> ReceivedStream {
        let input = StreamInput(channel, position: channel.position ?? 0)
        return try StreamReader(input, receiver: self).read()
    }

    func load(path: String) throws -> ReceivedStream {
        try load(
            Channel(OwnedDescriptor.open(path, O_RDONLY), name: "file:\(path)")
        )
    }

    func accept(_ configuration: ConfigurationSection) throws(StreamError) {
        machineName = configuration.machineName
    }

    func accept(
        _ blocks: [StreamBlock],
        ramSectionID: UInt32
    ) throws(StreamError) -> any PageSink {
        guard blocks == guest.listed else {
            throw StreamError(.mismatch, "other blocks: \(blocks)")
        }
        return GuestMemorySink(guest.blocks)
    }

    func accept(section: SectionHeader.Identity) throws(StreamError) {}
    func kept(earlySections: [UInt8]) throws(StreamError) { early += earlySections }
    func answer(_ message: ReturnPathMessage) throws(StreamError) {}
    func progressed(_ progress: StreamProgress) throws(StreamError) {}
}

/// Runs a body in a thread of its own and gives its outcome.
final class RelayThread<Value: Sendable>: Sendable {
    private let thread: NamedThread
    private let result = Box<Result<Value, any Error>?>(nil)

    private final class Box<Content: Sendable>: Sendable {
        let content: Mutex<Content>
        init(_ content: Content) { self.content = Mutex(content) }
    }

    init(_ body: @escaping @Sendable () throws -> Value) throws {
        let result = result
        thread = try NamedThread.start(name: "test-relay") {
            let outcome = Result { try body() }
            result.content.withLock { $0 = outcome }
        }
    }

    func finish() throws -> Value {
        thread.join()
        return try #require(result.content.withLock { $0 }).get()
    }
}

/// Two connected channels; what a test made itself isn't handed on to commands.
func relayConnection(_ kind: String) throws -> (writer: Channel, reader: Channel) {
    var ends: [CInt] = [-1, -1]
    if kind == "pipe" {
        try SystemCall.check("pipe", "") { pipe(&ends) }
    } else {
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        try SystemCall.check("socketpair", "") { socketpair(AF_UNIX, type, 0, &ends) }
    }
    let reader = try Channel(OwnedDescriptor(ends[0]), name: kind)
    return (try Channel(OwnedDescriptor(ends[1]), name: kind), reader)
}

/// The messages that a source hears, up to the end.
func answers(on channel: Channel) throws -> [ReturnPathMessage] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1000)
    while true {
        // Whoever goes with data unread resets the connection; what was said before counts.
        let count = buffer.withUnsafeMutableBytes { (try? channel.read(into: $0)) ?? 0 }
        if count == 0 { break }
        bytes += buffer[..<count]
    }
    var cursor = WireCursor()
    var messages: [ReturnPathMessage] = []
    while cursor.offset < bytes.count {
        messages.append(try ReturnPathMessage(decoding: &cursor, bytes.span))
    }
    return messages
}

extension ImageFormat {
    /// Streams without a container.
    static let bare: [ImageFormat] = [.mappedRAM, .sequential]
}
