/// The flags of a multifd packet: what it is, and how its payload is compressed.
///
/// Format: docs/wire/multifd.md. Origin: QEMU 10.0 migration/multifd.h, MULTIFD_FLAG_*.
public struct MultifdFlags: OptionSet, Hashable, Sendable {
    /// The bits.
    public let rawValue: UInt32

    /// Makes flags from their bits.
    @inlinable
    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// A sync point: what follows on the channel is newer than all that came before it on any.
    public static let sync = MultifdFlags(rawValue: 0x01)
    /// A packet of another layout, with the state of a device (vfio).
    public static let deviceState = MultifdFlags(rawValue: 0x40)

    private static let methodMask: UInt32 = 0x3e

    /// Flags of a packet whose payload is compressed so.
    public init(_ method: MultifdMethod) {
        rawValue = method.rawValue
    }

    /// How the payload is compressed; nil for several methods at once.
    public var method: MultifdMethod? {
        MultifdMethod(rawValue: rawValue & Self.methodMask)
    }

    /// Bits that have no meaning.
    var unknown: UInt32 {
        rawValue & ~(Self.methodMask | Self.sync.rawValue | Self.deviceState.rawValue)
    }
}

/// How the payload of multifd packets is compressed, as `multifd-compression` names it.
public enum MultifdMethod: UInt32, CaseIterable, Sendable {
    /// Pages as they are.
    case none = 0
    /// One zlib stream for each channel.
    case zlib = 0x02
    /// One zstd frame for each channel.
    case zstd = 0x04
    /// Pages one by one, as Intel's QPL makes them.
    case qpl = 0x08
    /// Pages one by one, as the UADK library makes them.
    case uadk = 0x10
    /// The whole payload at once, as Intel's QATzip makes it.
    case qatzip = 0x20

    /// The parameter's value that stands for it.
    public var name: String { "\(self)" }
}
