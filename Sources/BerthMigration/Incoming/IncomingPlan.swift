public import BerthMemory
public import BerthQAPI
public import BerthStream
public import BerthWire

/// What an incoming stream must agree with.
public struct IncomingPlan: Sendable {
    /// The machine that this endpoint was started as, and its UUID.
    public var identity: GuestIdentity
    /// Whether capability `mapped-ram` is on here.
    public var isMapped: Bool
    /// Whether memory is to lie on a mapped-ram image, rather than be read from it.
    public var mapsImage = false
    /// Threads that read the pages of a mapped-ram image.
    public var readerCount = 1
    /// Whether capability `x-ignore-shared` is on here.
    public var leavesOutSharedBlocks = false
    /// Whether capability `switchover-ack` is on here.
    public var acknowledgesSwitchover = false
    /// The channels that pages come over beside the main one; nil if capability `multifd` is off.
    public var multifd: MultifdPlan?
    /// The blocks that this endpoint's own options made; each must be in the stream.
    public var blocks: [RAMBlock]
    /// Whether other blocks of the stream (ROMs, video memory) are made as they are listed.
    public var adoptsBlocks: Bool
    /// The sections that the machine can have; nil where Berth keeps whatever comes.
    public var knownSections: Set<String>?
}

/// What an incoming stream's multifd channels must agree with.
public struct MultifdPlan: Sendable {
    /// Parameter `multifd-channels`, 1 to 255.
    public var channelCount: Int
    /// Parameter `multifd-compression`; nil takes what comes.
    public var method: MultifdMethod?
    /// Property `multifd-flush-after-each-section`; nil finds it out.
    public var flushesEachSection: Bool?

    /// Describes the channels.
    public init(
        channelCount: Int,
        method: MultifdMethod? = nil,
        flushesEachSection: Bool? = nil
    ) {
        self.channelCount = channelCount
        self.method = method
        self.flushesEachSection = flushesEachSection
    }
}

/// A guest that was loaded completely.
public struct LoadedGuest: Sendable {
    /// Its memory, in the source's order.
    public var blocks: [RAMBlock]
    /// What came beside the memory.
    public var stream: ReceivedStream
    /// Run state of the source before it stopped; nil if the stream doesn't say.
    public var runState: RunState?
    /// The mapped-ram image that it came from; nil if it came as a sequential stream.
    var image: LoadedImage?
}

/// What the data thread tells the controller.
public enum IncomingReport: Sendable {
    /// The first bytes of a stream are here.
    case streamBegan
    /// The thread has ended with a guest.
    case loaded(LoadedGuest)
    /// The thread has ended without one.
    case failed(MigrationError)
}
