/// The state of a guest's devices as a stream carries it: opaque sections and their description.
///
/// Berth knows no devices. It keeps what a source sent and sends it on unchanged; only the run
/// state, in the section `globalstate`, is read and can be rewritten.
///
/// Format: docs/wire/device-state.md.
public struct DeviceState: Equatable, Sendable {
    /// Bytes of device state that Berth takes, 128 MiB.
    ///
    /// A large guest has under 1 MiB, one with a virtio GPU some tens. The state is held in memory
    /// twice while it arrives, so this also bounds what a hostile source can make Berth hold.
    public static let byteCountLimit = 128 << 20

    /// Sections that the source sent before or between its RAM, in order; usually none.
    ///
    /// They belong between the first section of RAM and the first part of it.
    public var early: DeviceSectionRun
    /// Sections after all RAM, in order.
    public var final: DeviceSectionRun
    /// The source's JSON description, byte for byte; nil if it sent none.
    public var description: [UInt8]?
    /// Whether `early` and `final` have footers.
    public var hasFooters: Bool

    /// Makes a device state from its parts.
    public init(
        early: DeviceSectionRun = DeviceSectionRun(),
        final: DeviceSectionRun,
        description: [UInt8]?,
        hasFooters: Bool = true
    ) {
        self.early = early
        self.final = final
        self.description = description
        self.hasFooters = hasFooters
    }

    /// Bytes of all sections and the description.
    public var byteCount: Int {
        early.bytes.count + final.bytes.count + (description?.count ?? 0)
    }

    /// An id for a section of Berth's own that no section here uses: `preferred`, or the next.
    public func unusedSectionID(preferred: UInt32) -> UInt32 {
        let used = Set((early.sections + final.sections).map(\.id))
        var id = preferred
        while used.contains(id) {
            id &+= 1
        }
        return id
    }
}
