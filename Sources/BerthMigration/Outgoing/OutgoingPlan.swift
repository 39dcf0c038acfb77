public import BerthMemory
public import BerthQAPI
public import BerthStream
public import BerthTransport
public import BerthWire

/// Everything that an outgoing migration latches at its start.
public struct OutgoingPlan: Sendable {
    /// Where to.
    public var address: BerthTransport.MigrationAddress
    /// The frame of the stream.
    public var stream: StreamPlan
    /// Whether the final stage is announced; QEMU before 10.0 fails on it.
    public var sendsSwitchoverStart: Bool
    /// The guest's memory, in the order in which it is listed.
    public var blocks: [RAMBlock]
    /// Whether pages go to fixed places.
    public var isMapped: Bool
    /// Channels beside the main one: parameter `multifd-channels`; nil if `multifd` is off.
    public var channelCount: Int?
    /// What travels on those channels, and how.
    public var multifd = MultifdSendOptions()
    /// Whether the pages of a mapped-ram image bypass the page cache.
    public var isDirect = false
    /// Whether zero pages are told from others.
    public var detectsZeroPages: Bool
    /// Whether the guest runs on, and what is saved is its memory of the start.
    public var takesSnapshot = false
    /// Whether pages that are sent again go as deltas.
    public var sendsDeltas = false
    /// Whether the guest isn't stopped before the destination says that it is ready.
    public var awaitsSwitchoverAck = false
    /// How a guest is slowed down that changes its memory too fast.
    var restraint: ConvergenceJudge.Means?
    /// Whether an image shares blocks with memory that is a file, where the file system can.
    public var sharesBlocks = false
    /// How pages are summed up for a seal behind the image; nil if they aren't.
    public var integrity: IntegrityAlgorithm?
    /// Whether blocks that the destination shares are listed, but not sent.
    public var leavesOutSharedBlocks = false
    /// Guest-physical addresses by block, if the stream has them.
    public var guestAddresses: [String: UInt64] = [:]
    /// Why the guest's writers can't be followed, asked once writes are being tracked.
    var obstacle: @Sendable () -> MigrationError? = { nil }
    /// Sections that come before the first page.
    public var earlySections: [UInt8]

    /// Whether the pages of `block` are not sent.
    func leavesOut(_ block: RAMBlock) -> Bool {
        leavesOutSharedBlocks && block.isSharedFile
    }

    /// Words for the operator: what is being attempted.
    public var context: String {
        isMapped ? "saving to '\(address)'" : "migrating to '\(address)'"
    }
}

/// What a data thread tells the controller.
public enum OutgoingReport: Sendable {
    /// Headers are written, the first bitmap sync is done.
    case setUp
    /// A bitmap sync was done; the count so far.
    case pass(UInt64)
    /// The rest fits into the downtime: stop the guest, then let the thread go on.
    case converged
    /// A background snapshot has its instant: the guest may go on.
    case instantTaken
    /// The guest changes its memory too fast: hold it back.
    case restrain(GuestRestraint)
    /// An image is whole: what was done with its blocks.
    case saved(MappedRAMImage)
    /// The thread has ended: nil is success.
    case ended(MigrationError?)
}
