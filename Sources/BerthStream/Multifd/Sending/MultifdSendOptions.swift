public import BerthWire

/// What both ends of multifd channels have agreed on, as a source has to know it.
public struct MultifdSendOptions: Sendable, Equatable {
    /// Where pages go that are all zero; parameter `zero-page-detection`.
    public enum ZeroPages: Sendable, Equatable {
        /// Into packets: `multifd`.
        case inPackets
        /// Onto the main channel, as without multifd: `legacy`.
        case onMain
    }

    /// UUID of the guest, which a destination compares with its own; nil if it has none.
    public var uuid: GuestUUID?
    /// How pages are compressed.
    public var compression: MultifdCompression
    /// Where pages go that are all zero.
    public var zeroPages: ZeroPages
    /// Whether each section of the RAM ends in a sync point, rather than each pass over memory:
    /// property `multifd-flush-after-each-section`, on for machine types up to 8.0.
    public var flushesEachSection: Bool
    /// Whether the kernel sends pages without copying them first: capability `zero-copy-send`.
    public var usesZeroCopy: Bool

    /// Describes channels with QEMU 10.0's defaults.
    public init(
        uuid: GuestUUID? = nil,
        compression: MultifdCompression = .none,
        zeroPages: ZeroPages = .inPackets,
        flushesEachSection: Bool = false,
        usesZeroCopy: Bool = false
    ) {
        self.uuid = uuid
        self.compression = compression
        self.zeroPages = zeroPages
        self.flushesEachSection = flushesEachSection
        self.usesZeroCopy = usesZeroCopy
    }
}
