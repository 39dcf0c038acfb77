import BerthMemory
import BerthStream
import BerthSystem
import BerthTransport
import BerthWire
import Glibc
import Synchronization
import Testing

/// A destination that takes in all bytes of a main channel and of multifd channels, at once, and
/// judges none of them.
final class MultifdRecorder: Sendable {
    /// The source's ends.
    let main: Channel
    let channels: [Channel]
    private let threads: [NamedThread]
    private let bytes: MultifdBytes

    private final class MultifdBytes: Sendable {
        let streams: Mutex<[[UInt8]]>
        init(count: Int) { streams = Mutex(Array(repeating: [], count: count)) }
    }

    /// Connects.
    ///
    /// - Parameter kind: `tcp` or anything that `connection` knows.
    init(channelCount: Int, over kind: String = "socket") throws {
        let bytes = MultifdBytes(count: channelCount + 1)
        var threads: [NamedThread] = []
        var ends: [Channel] = []
        for index in 0...channelCount {
            let (source, destination) = try kind == "tcp" ? Self.tcp() : connection(kind)
            ends.append(source)
            threads.append(
                try NamedThread.start(name: "test-record-\(index)") {
                    Self.read(destination) { part in
                        bytes.streams.withLock { $0[index] += part }
                    }
                }
            )
        }
        main = ends[0]
        channels = Array(ends[1...])
        self.threads = threads
        self.bytes = bytes
    }

    static func tcp() throws -> (writer: Channel, reader: Channel) {
        let resources = TransportResources()
        let listener = try IncomingTransport(
            address: try MigrationAddress(uri: "tcp:127.0.0.1:0"),
            resources: resources
        )
        defer { listener.close() }
        let address = try #require(listener.boundAddresses.first)
        let source = try OutgoingTransport(address: address, resources: resources).connect()
        return (source, try listener.accept())
    }

    private static func read(_ channel: Channel, _ take: ([UInt8]) -> Void) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = buffer.withUnsafeMutableBytes { (try? channel.read(into: $0)) ?? 0 }
            guard count > 0 else { return }
            take(Array(buffer.prefix(count)))
        }
    }

    /// Closes what the source has not closed, and gives what came.
    func finish() throws -> MultifdRecording {
        for channel in [main] + channels { channel.closeWithoutWaiting() }
        for thread in threads { thread.join() }
        return try bytes.streams.withLock { try MultifdRecording($0) }
    }
}

/// What came over a main channel and multifd channels.
struct MultifdRecording {
    enum Event: Equatable {
        case section(ElementKind)
        case list([String])
        case zero(block: String, offset: UInt64)
        case flush
        case endOfSection
    }

    struct Packet {
        let header: MultifdPacketHeader
        let offsets: [UInt64]
        let payload: [UInt8]
    }

    let mainBytes: [UInt8]
    let channelBytes: [[UInt8]]
    /// The RAM section's parts on the main channel.
    let events: [Event]
    let initialPackets: [MultifdInitialPacket]
    /// Packets of each channel, by its place in the list, not by its id.
    let packets: [[Packet]]

    init(_ streams: [[UInt8]]) throws {
        mainBytes = streams[0]
        channelBytes = Array(streams[1...])
        events = try Self.events(in: streams[0])
        var initial: [MultifdInitialPacket] = []
        var packets: [[Packet]] = []
        for bytes in streams[1...] {
            var cursor = WireCursor()
            initial.append(try MultifdInitialPacket(decoding: &cursor, bytes.span))
            var own: [Packet] = []
            while cursor.offset < bytes.count {
                let start = cursor.offset
                let header = try MultifdPacketHeader(decoding: &cursor, bytes.span)
                own.append(
                    Packet(
                        header: header,
                        offsets: (0..<MultifdPacketHeader.pageLimit).map {
                            MultifdPacketHeader.offset(
                                at: $0,
                                in: bytes.span.extracting(start...)
                            )
                        },
                        payload: try cursor.bytes(header.payloadByteCount, bytes.span, "payload")
                    )
                )
            }
            packets.append(own)
        }
        initialPackets = initial
        self.packets = packets
    }

    private static func events(in bytes: [UInt8]) throws -> [Event] {
        var cursor = WireCursor()
        guard !bytes.isEmpty else { return [] }
        _ = try StreamHeader(decoding: &cursor, bytes.span)
        _ = try ConfigurationSection(decoding: &cursor, bytes.span)
        var events: [Event] = []
        var block = ""
        while cursor.offset < bytes.count {
            let kind = ElementKind(rawValue: bytes[cursor.offset])
            if kind == .endOfFile { break }
            if kind == .command {
                _ = try StreamCommand(decoding: &cursor, bytes.span)
                continue
            }
            let header = try SectionHeader(decoding: &cursor, bytes.span)
            guard header.kind != .full else { break }
            events.append(.section(header.kind))
            words: while true {
                let place = cursor.streamOffset
                let word = try RAMWord(decoding: &cursor, bytes.span)
                switch try word.kind(at: place) {
                case .blockList:
                    var budget = try RAMBlockListBudget(total: word.offset, at: place)
                    var names: [String] = []
                    while !budget.isComplete {
                        let record = try RAMBlockRecord(decoding: &cursor, bytes.span)
                        try budget.account(for: record, at: place)
                        names.append(record.name)
                    }
                    events.append(.list(names))
                case .zero:
                    if !word.continuesBlock { block = try cursor.cstr(bytes.span, "block name") }
                    let fill = try cursor.u8(bytes.span, "fill byte")
                    #expect(fill == 0)
                    events.append(.zero(block: block, offset: word.offset))
                case .multifdFlush: events.append(.flush)
                case .endOfSection:
                    events.append(.endOfSection)
                    break words
                case .page, .xbzrle, .hook:
                    Issue.record("a word \(word) on the main channel")
                    return events
                }
            }
            _ = try SectionFooter(decoding: &cursor, bytes.span)
        }
        return events
    }

    /// The parts of the RAM section without the pages.
    var skeleton: [Event] {
        events.filter { if case .zero = $0 { false } else { true } }
    }

    /// Sync points of each channel.
    var syncCounts: [Int] {
        packets.map { $0.filter { $0.header.flags == .sync }.count }
    }
}
