public import BerthWire

/// What a writer has to know about a stream besides its pages and its device state.
public struct StreamPlan: Sendable, Equatable {
    /// The configuration section; a mapped-ram writer adds its capability by itself.
    public var configuration: ConfigurationSection
    /// Section id of the RAM section; any number that no device section of the stream has.
    public var ramSectionID: UInt32
    /// Whether a return path is opened, so that the destination acknowledges the end.
    public var opensReturnPath: Bool
    /// Whether sections end in a footer; QEMU's default, off only where an older stream had none.
    public var hasFooters: Bool

    /// Describes a stream with QEMU 10.0's defaults.
    public init(
        configuration: ConfigurationSection,
        ramSectionID: UInt32 = 1,
        opensReturnPath: Bool = false,
        hasFooters: Bool = true
    ) {
        self.configuration = configuration
        self.ramSectionID = ramSectionID
        self.opensReturnPath = opensReturnPath
        self.hasFooters = hasFooters
    }
}

/// Writes a guest as a stream: the steps of a save, in the order of these members.
///
/// Between `begin` and `finish` pages come through `PageSink`, inside an iteration. A stream that
/// was not finished never looks complete to a reader.
public protocol GuestWriter: PageSink {
    /// The output, for its counters and for flushing at the end of a batch.
    var output: StreamOutput { get }

    /// Writes the header, the configuration and the list of blocks.
    ///
    /// - Parameter earlySections: whole sections that come before the first page (virtio-mem).
    func begin(
        _ plan: StreamPlan,
        blocks: [StreamBlock],
        earlySections: [UInt8]
    ) throws(StreamError)

    /// Opens one iteration of the RAM section.
    func beginIteration() throws(StreamError)

    /// Closes the iteration and hands everything to the channel.
    func endIteration() throws(StreamError)

    /// Opens the last iteration; the guest is stopped.
    ///
    /// - Parameter announced: whether SWITCHOVER_START is sent: QEMU before 10.0 fails on it.
    func beginCompletion(announced: Bool) throws(StreamError)

    /// Closes the RAM section and writes device state, end mark and description.
    ///
    /// - Parameters:
    ///   - deviceSections: whole sections, with headers and footers.
    ///   - description: the JSON text of the vmdesc; may be empty.
    func finish(deviceSections: [UInt8], description: [UInt8]) throws(StreamError)
}

/// The frame that both layouts share: header, commands, section starts and ends.
struct StreamFraming {
    private let plan: StreamPlan
    private let output: StreamOutput

    init(_ plan: StreamPlan, _ output: StreamOutput) {
        self.plan = plan
        self.output = output
    }

    /// The first bytes of every stream.
    static var header: [UInt8] {
        var bytes = [UInt8]()
        StreamHeader().encode(into: &bytes)
        return bytes
    }

    /// Header, configuration, return path, and the start of the RAM section up to its total.
    ///
    /// - Parameter withholdsHeader: leaves zeros in the place of the header, to be written last.
    func begin(total: UInt64, withholdsHeader: Bool = false) throws(StreamError) {
        var bytes = Self.header
        if withholdsHeader {
            bytes = Array(repeating: 0, count: bytes.count)
        }
        plan.configuration.encode(into: &bytes)
        if plan.opensReturnPath {
            StreamCommand.openReturnPath.encode(into: &bytes)
            // QEMU sends 1 here and wants an answer before it opens further channels.
            StreamCommand.ping(1).encode(into: &bytes)
        }
        SectionHeader(
            full: false,
            id: plan.ramSectionID,
            identity: .init(name: "ram", instance: 0, version: 4)
        ).encode(into: &bytes)
        RAMWord(offset: total, flags: .blockList).encode(into: &bytes)
        try output.put(bytes)
    }

    func beginPart(isLast: Bool, announced: Bool = false) throws(StreamError) {
        var bytes = [UInt8]()
        if isLast, announced {
            StreamCommand.switchoverStart.encode(into: &bytes)
        }
        SectionHeader(partOf: plan.ramSectionID, isLast: isLast).encode(into: &bytes)
        try output.put(bytes)
    }

    func endPart() throws(StreamError) {
        var bytes = [UInt8]()
        RAMWord(offset: 0, flags: .endOfSection).encode(into: &bytes)
        if plan.hasFooters {
            SectionFooter(id: plan.ramSectionID).encode(into: &bytes)
        }
        try output.put(bytes)
    }

    func finish(deviceSections: [UInt8], description: [UInt8]) throws(StreamError) {
        try output.put(deviceSections)
        var bytes = [ElementKind.endOfFile.rawValue, ElementKind.vmDescription.rawValue]
        bytes.appendBigEndian(UInt32(clamping: description.count))
        try output.put(bytes)
        try output.put(description)
        try output.flush()
    }
}
