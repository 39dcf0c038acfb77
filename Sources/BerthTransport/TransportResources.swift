public import BerthSystem

/// What addresses refer to beside files and networks: descriptors that clients handed in.
public struct TransportResources: Sendable {
    /// The sets behind `/dev/fdset/N`.
    public let fdSets: FDSets
    /// Duplicates the descriptor that the issuing monitor holds under a name, and leaves it there.
    public let look: @Sendable (String) -> OwnedDescriptor?
    /// Takes the descriptor that the issuing monitor holds under a name: it is used once.
    public let take: @Sendable (String) -> OwnedDescriptor?

    /// Joins the sources of descriptors.
    public init(
        fdSets: FDSets = FDSets(),
        look: @escaping @Sendable (String) -> OwnedDescriptor? = { _ in nil },
        take: @escaping @Sendable (String) -> OwnedDescriptor? = { _ in nil }
    ) {
        self.fdSets = fdSets
        self.look = look
        self.take = take
    }
}

/// Which way a migration goes.
public enum MigrationDirection: Sendable {
    /// This side is the source: it writes.
    case outgoing
    /// This side is the destination: it reads.
    case incoming

    /// How a file is opened.
    var accessMode: FileAccess.Mode { self == .outgoing ? .writeOnly : .readOnly }
}
