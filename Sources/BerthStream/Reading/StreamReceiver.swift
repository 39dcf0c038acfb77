public import BerthWire

/// Who takes a stream in: decides whether it fits and where its pages go.
public protocol StreamReceiver: AnyObject {
    /// Judges the configuration section, before anything else is read.
    ///
    /// With the capability `x-ignore-shared` no page of memory that both ends share will come; who
    /// can't take that refuses it here.
    func accept(_ configuration: ConfigurationSection) throws(StreamError)

    /// Judges the list of blocks and gives the sink for their pages.
    ///
    /// - Parameter ramSectionID: section id of the stream's RAM section.
    func accept(
        _ blocks: [StreamBlock],
        ramSectionID: UInt32
    ) throws(StreamError) -> any PageSink

    /// Judges a section that isn't RAM, before it is kept.
    func accept(section: SectionHeader.Identity) throws(StreamError)

    /// Takes whole sections that came before or between the pages, as soon as they are kept.
    func kept(earlySections: [UInt8]) throws(StreamError)

    /// Takes a message for the source; called only after the source opened the return path.
    func answer(_ message: ReturnPathMessage) throws(StreamError)

    /// Whether a source is told at once, when it opens the return path, that nothing here needs
    /// more rounds; capability `switchover-ack`.
    var acknowledgesSwitchover: Bool { get }

    /// Notes that so many bytes of the stream and pages of its RAM are in.
    ///
    /// Called once per batch; a thrown error ends the load.
    func progressed(_ progress: StreamProgress) throws(StreamError)
}

extension StreamReceiver {
    /// A source doesn't wait for it unless both ends were told to.
    public var acknowledgesSwitchover: Bool { false }
}

/// How far a load is.
public struct StreamProgress: Sendable, Equatable {
    /// Sum of all block sizes in bytes; 0 before the block list.
    public var totalByteCount: UInt64 = 0
    /// Pages that came with content; a page sent again counts again.
    public var dataPageCount: UInt64 = 0
    /// Pages that came as zero.
    public var zeroPageCount: UInt64 = 0
    /// Bytes of the stream that were read.
    public var streamByteCount: UInt64 = 0

    /// Nothing is in.
    public init() {}
}

/// A stream that was read to its end, without its pages.
public struct ReceivedStream: Sendable {
    /// The configuration section.
    public var configuration: ConfigurationSection
    /// Section id that the source gave its RAM section.
    public var ramSectionID: UInt32
    /// The blocks, in the source's order.
    public var blocks: [StreamBlock]
    /// Every section but RAM.
    public var deviceState: DeviceState
    /// Whether the source announced its final stage (QEMU 10.0 and later).
    public var hadSwitchoverStart: Bool
    /// Whether the source opened a return path and waits for a verdict.
    public var expectsVerdict: Bool
    /// Pages and bytes that came.
    public var progress: StreamProgress
    /// Where in the stream (in the file, for a file) its parts are.
    public var places: StreamPlaces
}

/// Where the parts of a stream are: offsets in the stream, in the file for a file.
public struct StreamPlaces: Sendable, Equatable {
    /// First byte of the RAM section's start.
    public var ram: UInt64 = 0
    /// First byte behind the RAM section's end; nil without one, as in a background snapshot.
    public var ramEnd: UInt64?
    /// First byte of each section in `DeviceState.early`.
    public var early: [UInt64] = []
    /// First byte of each section in `DeviceState.final`.
    public var final: [UInt64] = []
    /// First byte behind the whole stream.
    public var end: UInt64 = 0
}
