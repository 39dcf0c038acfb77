import BerthMemory
import BerthSystem
import BerthTransport
import BerthWire
import Glibc
import Testing

@testable import BerthStream

/// What a multifd source sends over each of its channels, made by hand.
struct MultifdScript {
    /// Where the sync points of a stream are.
    enum Mode: CaseIterable {
        /// At words of their own.
        case perRound
        /// At the end of each section: machine types up to 8.0.
        case perSection
    }

    let guest: StreamGuest
    let mode: Mode
    private(set) var main: [UInt8] = []
    var channels: [[UInt8]]
    private var compressors: [any PacketCompressor] = []
    private let method: MultifdMethod
    private var packetNumber: UInt64 = 0

    init(
        _ guest: StreamGuest,
        channelCount: Int,
        mode: Mode = .perRound,
        compression: MultifdCompression = .none
    ) throws {
        self.guest = guest
        self.mode = mode
        method = compression.method
        channels = Array(repeating: [], count: channelCount)
        for _ in 0..<channelCount {
            if let compressor = try compression.compressor() { compressors.append(compressor) }
        }
    }

    /// Everything up to the end of the first section, with its sync point.
    mutating func begin(opensReturnPath: Bool = false, synchronizes: Bool = true) {
        StreamHeader().encode(into: &main)
        ConfigurationSection(machineName: "none").encode(into: &main)
        if opensReturnPath { StreamCommand.openReturnPath.encode(into: &main) }
        SectionHeader(
            full: false,
            id: 2,
            identity: .init(name: "ram", instance: 0, version: 4)
        ).encode(into: &main)
        let total = guest.blocks.reduce(0) { $0 + UInt64($1.byteCount) }
        RAMWord(offset: total, flags: .blockList).encode(into: &main)
        for block in guest.listed {
            RAMBlockRecord(name: block.name, usedLength: UInt64(block.byteCount))
                .encode(into: &main)
        }
        if synchronizes, mode == .perRound { synchronize() }
        endSection(synchronizes: synchronizes)
    }

    mutating func beginPart(isLast: Bool = false) {
        SectionHeader(partOf: 2, isLast: isLast).encode(into: &main)
    }

    /// A zero page as `zero-page-detection=legacy` sends it.
    mutating func zeroOnMain(_ block: Int, page: Int) {
        let offset = UInt64(page * targetPageByteCount)
        RAMWord(offset: offset, flags: .zero).encode(into: &main)
        let name = guest.blocks[block].id
        main.append(UInt8(name.utf8.count))
        main += Array(name.utf8)
        main.append(0)
    }

    /// A sync point on every channel.
    mutating func synchronize() {
        if mode == .perRound { flushWord() }
        for index in channels.indices { send(sync: true, on: index) }
    }

    mutating func flushWord() {
        RAMWord(offset: 0, flags: .multifdFlush).encode(into: &main)
    }

    mutating func endSection(synchronizes: Bool = true) {
        if synchronizes, mode == .perSection { synchronize() }
        RAMWord(offset: 0, flags: .endOfSection).encode(into: &main)
        SectionFooter(id: 2).encode(into: &main)
    }

    /// The last section with its sync point, and what follows it.
    mutating func finish(synchronizes: Bool = true) {
        beginPart(isLast: true)
        if synchronizes, mode == .perRound { synchronize() }
        endSection()
        endStream()
    }

    /// Device state, end mark and description.
    mutating func endStream() {
        let state = DeviceState.fresh(runState: "running", machineName: "none")
        main += state.final.encoded(footers: true)
        main.append(ElementKind.endOfFile.rawValue)
        main.append(ElementKind.vmDescription.rawValue)
        let description = state.description ?? []
        main += withUnsafeBytes(of: UInt32(description.count).bigEndian, Array.init)
        main += description
    }

    /// A packet with pages of the guest as they are now.
    ///
    /// - Parameter sync: whether it is a sync point as well, as sources before 9.0 have it.
    mutating func send(
        _ block: Int = 0,
        pages: [Int] = [],
        zeros: [Int] = [],
        sync: Bool = false,
        on channel: Int
    ) {
        var payload = pages.flatMap { guest.page(block, $0) }
        if !compressors.isEmpty, !pages.isEmpty {
            payload = compressed(payload, compressors[channel])
        }
        let hasPages = !pages.isEmpty || !zeros.isEmpty
        var header = MultifdPacketHeader(flags: hasPages ? MultifdFlags(method) : [])
        if sync { header.flags.insert(.sync) }
        if hasPages {
            header.pagesAllocated = MultifdPacketHeader.pageLimit
            header.blockName = guest.blocks[block].id
        }
        header.normalCount = pages.count
        header.zeroCount = zeros.count
        header.payloadByteCount = payload.count
        header.packetNumber = packetNumber
        packetNumber += 1
        channels[channel] += Self.encoded(header, offsets: pages + zeros) + payload
    }

    private static func encoded(_ header: MultifdPacketHeader, offsets: [Int]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: MultifdPacketHeader.byteCount)
        bytes.withUnsafeMutableBytes { buffer in
            var span = MutableRawSpan(_unsafeBytes: buffer)
            header.encode(into: &span)
            for (index, page) in offsets.enumerated() {
                MultifdPacketHeader.setOffset(
                    UInt64(page * targetPageByteCount),
                    at: index,
                    in: &span
                )
            }
        }
        return bytes
    }

    private func compressed(_ bytes: [UInt8], _ compressor: any PacketCompressor) -> [UInt8] {
        var bytes = bytes
        return bytes.withUnsafeMutableBytes { buffer in
            var piece = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
            return withUnsafeMutablePointer(to: &piece) { piece in
                do {
                    return Array(
                        try compressor.compress(
                            UnsafeMutableBufferPointer(start: piece, count: 1)
                        )
                    )
                } catch {
                    Issue.record(error)
                    return []
                }
            }
        }
    }
}

/// The two ends of each channel of a migration between threads of this process.
final class MultifdTestLink {
    let input: StreamInput
    let receiver: MultifdReceiver
    let readers: [Channel]
    let writers: [Channel]
    let mainWriter: Channel
    private var threads: [NamedThread] = []

    init(
        channelCount: Int,
        method: MultifdMethod? = nil,
        stallTime: Duration = MultifdReceiver.stallTime
    ) throws {
        let main = try connection("socket")
        let ends = try (0..<channelCount).map { _ in try connection("socket") }
        mainWriter = main.writer
        writers = ends.map(\.writer)
        readers = ends.map(\.reader)
        input = StreamInput(main.reader)
        receiver = MultifdReceiver(
            readers,
            main: main.reader,
            method: method,
            stallTime: stallTime
        )
    }

    deinit {
        // Whoever still writes ends here: nobody reads any more.
        for channel in writers + [mainWriter] { channel.abort() }
        for thread in threads { thread.join() }
    }

    /// Writes bytes from a thread of their own, in pieces of this size.
    ///
    /// - Parameter closes: whether the channel is closed behind them.
    func feed(_ bytes: [UInt8], to channel: Channel, by size: Int = .max, closes: Bool = false)
        throws
    {
        let thread = try NamedThread.start(name: "test-feed") {
            var start = 0
            while start < bytes.count {
                let end = size < bytes.count - start ? start + size : bytes.count
                let part = bytes[start..<end]
                guard (try? part.withUnsafeBytes { try channel.write($0) }) != nil else { return }
                start = end
            }
            if closes { try? channel.close() }
        }
        threads.append(thread)
    }

    /// Feeds a whole script; nothing is closed: who waits for an end that isn't needed hangs.
    func feed(_ script: MultifdScript, by size: Int = .max) throws {
        for (channel, bytes) in zip(writers, script.channels) {
            try feed(bytes, to: channel, by: size)
        }
        try feed(script.main, to: mainWriter, by: size)
    }

    @discardableResult
    func load(into guest: StreamGuest, receiver: StreamTestReceiver? = nil) throws
        -> ReceivedStream
    {
        try StreamReader(
            input,
            receiver: receiver ?? StreamTestReceiver(guest),
            multifd: self.receiver
        ).read()
    }
}
