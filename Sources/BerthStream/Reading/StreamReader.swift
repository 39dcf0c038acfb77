import BerthMemory
public import BerthTransport
import BerthWire
import Glibc

/// Reads QEMU's stream in both layouts and hands its pages, as runs, to a receiver's sink.
///
/// Overview: one pass over the elements; RAM is understood natively, device sections are kept as
/// bytes (`DeviceStateCollector`). Every length, offset, count and name is checked here before the
/// sink sees it.
///
/// Function: `read` returns when the stream is complete, and throws otherwise; the source may then
/// be told. It blocks its thread. Formats: docs/wire/sequential.md and docs/wire/mapped-ram.md.
///
/// Odd cases: a background snapshot has no RAM end section. A mapped-ram stream goes on behind the
/// pages of the last block. Some sections (virtio-mem) come before the first page.
@safe
public final class StreamReader {
    let input: StreamInput
    let receiver: any StreamReceiver
    /// Other channels that pages come over; nil if there are none.
    var multifd: MultifdReceiver?
    /// Called once, where all other channels of a source are there: finds those that nobody has
    /// told of.
    var findMultifd: (() throws(StreamError) -> MultifdReceiver?)?

    var configuration = ConfigurationSection(machineName: "")
    var isMapped = false
    var sink: (any PageSink)?
    var blocks: [StreamBlock] = []
    var blockIndexes: [String: Int] = [:]
    /// Block of the page record before; nil before the first.
    var currentBlock: Int?
    var progress = StreamProgress()
    var run = PendingRun()
    /// Whether each RAM section ends with a sync point; nil until the first has shown it.
    var flushesEachSection: Bool?
    var devices = DeviceStateCollector()
    /// Headers of the blocks of a mapped-ram stream whose pages are still to be loaded.
    var unloadedHeaders: [MappedRAMHeader] = []

    /// The file of a mapped-ram stream, once for each thread that reads its pages.
    ///
    /// None: they are read by the caller's thread, from the input's channel.
    public var pageChannels: [Channel] = []
    var pageThreads: FileThreads?
    /// The data, between holes, around the place of a mapped-ram file that was looked at last.
    var fileData: Range<UInt64> = 0..<0

    /// Pages on their way from a mapped-ram file to a sink without memory of its own.
    lazy var scratch = UnsafeMutableRawBufferPointer.allocate(
        byteCount: Self.scratchPageCount * targetPageByteCount,
        alignment: targetPageByteCount
    )
    /// 4 MiB: long enough for the disk, short enough to notice a cancel.
    static let scratchPageCount = 1024

    private(set) var ramSectionID: UInt32?
    private var sawSwitchoverStart = false
    private var places = StreamPlaces()
    private var hasReturnPath = false

    /// Makes a reader of a stream that begins at the input's position.
    ///
    /// - Parameters:
    ///   - multifd: the other channels of a multifd source. The sink that `receiver` gives is then
    ///     called by several threads, one at a time if it isn't a `ConcurrentPageSink`.
    ///   - findMultifd: the same for a source of which nobody knows: called where it has made all
    ///     channels, at the end of the stream's first part of RAM.
    public init(
        _ input: StreamInput,
        receiver: any StreamReceiver,
        multifd: MultifdReceiver? = nil,
        findMultifd: (() throws(StreamError) -> MultifdReceiver?)? = nil
    ) {
        self.input = input
        let isAlone = multifd == nil && findMultifd == nil
        self.receiver = isAlone ? receiver : LockedReceiver(receiver)
        self.multifd = multifd
        self.findMultifd = findMultifd
        flushesEachSection = multifd?.flushesEachSection
    }

    deinit {
        unsafe scratch.deallocate()
        unsafe run.pieces.deallocate()
    }

    /// Reads the whole stream.
    /// - Throws: `StreamError` that names what was wrong and where.
    public func read() throws(StreamError) -> ReceivedStream {
        // Whatever happens: who reads what came finds no thread at it any more.
        defer { multifd?.end() }
        do {
            try multifd?.start()
            let received = try readStream()
            try multifd?.finish()
            return received
        } catch {
            // A channel that fails ends the main stream, wherever that is.
            if error.code == .truncated { try multifd?.check() }
            throw error
        }
    }

    private func readStream() throws(StreamError) -> ReceivedStream {
        try readHeader()
        while try readElement() {}
        places.end = input.position
        places.early = devices.earlyOffsets
        places.final = devices.finalOffsets
        try loadMappedBlocks()
        // Without the list no receiver was asked whether the guest fits.
        guard let ramSectionID, sink != nil else {
            throw StreamError(
                .malformed,
                "the stream has no RAM section with a list of blocks",
                at: input.position
            )
        }
        return ReceivedStream(
            configuration: configuration,
            ramSectionID: ramSectionID,
            blocks: blocks,
            deviceState: devices.state,
            hadSwitchoverStart: sawSwitchoverStart,
            expectsVerdict: hasReturnPath,
            progress: wholeProgress,
            places: places
        )
    }

    /// What came, over all channels.
    var wholeProgress: StreamProgress {
        guard let multifd else { return progress }
        let beside = multifd.progress
        var whole = progress
        whole.dataPageCount += beside.dataPageCount
        whole.zeroPageCount += beside.zeroPageCount
        whole.streamByteCount += beside.streamByteCount
        return whole
    }

    private func readHeader() throws(StreamError) {
        _ = try input.decode("the stream header") { cursor, bytes throws(WireError) in
            try StreamHeader(decoding: &cursor, bytes)
        }
        configuration = try input.decode("the configuration") { cursor, bytes throws(WireError) in
            try ConfigurationSection(decoding: &cursor, bytes)
        }
        if let bits = configuration.targetPageBits, bits != 12 {
            throw StreamError(
                .mismatch,
                "the stream's target pages have 2^\(bits) bytes, Berth's have 2^12"
            )
        }
        isMapped = configuration.capabilities.contains("mapped-ram")
        if isMapped { try configuration.refuseLeavingOutSharedMemory() }
        try receiver.accept(configuration)
    }

    /// Reads one element.
    ///
    /// Returns false after the end of the stream.
    private func readElement() throws(StreamError) -> Bool {
        let position = input.position
        try input.require(1, "the list of sections")
        let byte = unsafe input.unread[0]
        switch ElementKind(rawValue: byte) {
        case .endOfFile:
            return try collectDevices()
        case .start, .full, .part, .end:
            return try readSection(at: position)
        case .command:
            let command = try input.decode("a command") { cursor, bytes throws(WireError) in
                try StreamCommand(decoding: &cursor, bytes)
            }
            try obey(command)
            return true
        default:
            throw StreamError(
                .malformed,
                "unknown section type 0x\(String(byte, radix: 16))",
                at: position
            )
        }
    }

    private func readSection(at position: UInt64) throws(StreamError) -> Bool {
        let (header, byteCount) = try input.peek("a section header") {
            cursor,
            bytes throws(WireError) in
            try SectionHeader(decoding: &cursor, bytes)
        }
        let isRAM: Bool
        if let identity = header.identity {
            isRAM = identity.name == "ram"
        } else {
            isRAM = header.id == ramSectionID
            guard isRAM || devices.continues(header.id) else {
                throw StreamError(
                    .malformed,
                    "a part of section \(header.id), which never started",
                    at: position
                )
            }
        }
        guard isRAM else { return try collectDevices() }
        if let identity = header.identity {
            guard header.kind == .start, identity.version == 4, identity.instance == 0 else {
                throw StreamError(
                    .mismatch,
                    "section 'ram' has instance \(identity.instance) and version "
                        + "\(identity.version); 0 and 4 are known",
                    at: position
                )
            }
            ramSectionID = header.id
            places.ram = position
            devices.noteNative(header.id)
        }
        if header.kind != .start {
            try loadMappedBlocks()
        }
        input.consume(byteCount)
        try readRAMBody()
        try readFooter(header.id)
        if header.kind == .end { places.ramEnd = input.position }
        return true
    }

    /// Keeps opaque sections.
    ///
    /// Returns false after the end of the stream.
    private func collectDevices() throws(StreamError) -> Bool {
        let outcome = try devices.collect(
            from: input,
            obey: { command throws(StreamError) in try obey(command) },
            judge: { identity throws(StreamError) in try receiver.accept(section: identity) }
        )
        if outcome == .element {
            try receiver.kept(earlySections: devices.takeNewEarlySections())
        }
        return outcome == .element
    }

    private func readFooter(_ id: UInt32) throws(StreamError) {
        try input.require(1, "the section's end")
        if devices.hasFooters == nil {
            devices.hasFooters = unsafe input.unread[0] == ElementKind.footer.rawValue
        }
        guard devices.hasFooters == true else { return }
        _ = try input.decode("a section footer") { cursor, bytes throws(WireError) in
            try SectionFooter(decoding: &cursor, bytes, of: id)
        }
    }

    private func obey(_ command: StreamCommand) throws(StreamError) {
        let position = input.position
        switch command {
        case .openReturnPath:
            guard !hasReturnPath else { break }
            hasReturnPath = true
            if receiver.acknowledgesSwitchover {
                // Before the PONG that the source asks for next, as QEMU does.
                try receiver.answer(.switchoverAck)
            }
        case .ping(let value):
            guard hasReturnPath else {
                throw StreamError(.malformed, "a ping without a return path", at: position)
            }
            try receiver.answer(.pong(value))
        case .switchoverStart:
            sawSwitchoverStart = true
        case .postcopyAdvise(nil):
            // Only announces dirty bitmaps of disks.
            break
        case .postcopyAdvise:
            // The source may still finish in precopy; what follows decides.
            break
        default:
            throw StreamError(
                .unsupported,
                "the source switched to something that Berth can't take: \(command)",
                at: position,
                hint: "migrate in precopy: don't use postcopy or COLO"
            )
        }
    }
}
