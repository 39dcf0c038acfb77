public import BerthWire

/// Which sections of a stream have begun and can still go on.
///
/// Ids are the source's choice; only what a start announced can be continued by a part or an end.
public struct SectionLedger: Equatable, Sendable {
    /// Ids of sections that the reader itself understands (`ram`, `dirty-bitmap`).
    public var native: Set<UInt32>
    /// Opaque sections in several parts, by id.
    public private(set) var opaque: [UInt32: SectionHeader.Identity]

    /// A ledger at the start of a stream.
    public init() {
        native = []
        opaque = [:]
    }

    /// Whether a part or an end with this id can follow.
    public func contains(_ id: UInt32) -> Bool {
        native.contains(id) || opaque[id] != nil
    }

    /// Takes note of an opaque section's header.
    ///
    /// Opaque sections rebind their id as QEMU does.
    mutating func note(_ section: DeviceSection) {
        switch section.kind {
        case .start: opaque[section.id] = section.identity
        case .end: opaque[section.id] = nil
        default: break
        }
    }
}
