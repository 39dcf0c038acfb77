public import BerthMemory
public import BerthStream
public import BerthTransport
import BerthWire

/// Everything that an outgoing migration latches at its start.
public struct OutgoingPlan: Sendable {
    /// Where to.
    public var address: MigrationAddress
    /// The frame of the stream.
    public var stream: StreamPlan
    /// Whether the final stage is announced; QEMU before 10.0 fails on it.
    public var sendsSwitchoverStart: Bool
    /// The guest's memory, in the order in which it is listed.
    public var blocks: [RAMBlock]
    /// Whether pages go to fixed places.
    public var isMapped: Bool
    /// Whether zero pages are told from others.
    public var detectsZeroPages: Bool
    /// Sections that come before the first page.
    public var earlySections: [UInt8]

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
    /// The thread has ended: nil is success.
    case ended(MigrationError?)
}
