/// Where a migration goes to or comes from.
///
/// QAPI: `MigrationAddress`; as text: the argument of `migrate` and `-incoming`.
public enum MigrationAddress: Sendable, Equatable {
    /// A file or device by path, used from `offset` on; also `/dev/fdset/N`.
    case file(path: String, offset: UInt64)
    /// A descriptor: a name given by `getfd`, or the number of an inherited one (incoming only).
    case fd(String)
    /// A program to start and its arguments; the first is the program's path.
    case exec([String])
    /// TCP over IPv4 or IPv6.
    case tcp(InetAddress)
    /// A unix socket.
    case unix(UnixAddress)
    /// A vsock socket; the numbers are looked at when it is opened.
    case vsock(cid: String, port: String)
    /// RDMA hardware, which Berth doesn't drive.
    case rdma(InetAddress)

    /// The name that addresses of this kind begin with, such as `tcp`.
    public var transportName: String {
        switch self {
        case .file: "file"
        case .fd: "fd"
        case .exec: "exec"
        case .tcp: "tcp"
        case .unix: "unix"
        case .vsock: "vsock"
        case .rdma: "rdma"
        }
    }

    /// The transport is a socket that is connected in the background, so that failures come late.
    public var isSocket: Bool {
        switch self {
        case .tcp, .unix, .vsock: true
        case .file, .fd, .exec, .rdma: false
        }
    }

    /// The set's number if this is a file of the form `/dev/fdset/N`, nil for any other address.
    ///
    /// - Throws: `FDSetError.unparsable` if what follows `/dev/fdset/` isn't a number.
    public func fdSetID() throws(FDSetError) -> Int64? {
        guard case .file(let path, _) = self else { return nil }
        return try FDSets.setID(path: path)
    }
}

/// Host, port and options of a TCP address.
///
/// QAPI: `InetSocketAddress`.
public struct InetAddress: Sendable, Equatable {
    /// A name or numeric address, IPv6 without brackets; empty means all local addresses.
    public var host: String
    /// A port number or service name.
    public var port: String
    /// `host` and `port` must be numbers: nothing is looked up.
    public var isNumeric: Bool
    /// When listening: the last port to try if `port` is in use.
    public var lastPort: UInt16?
    /// Whether IPv4 is to be used; `nil` leaves it to the name's addresses.
    public var ipv4: Bool?
    /// Whether IPv6 is to be used; `nil` leaves it to the name's addresses.
    public var ipv6: Bool?
    /// Have the kernel probe an idle connection.
    public var keepAlive: Bool
    /// Use Multipath TCP.
    public var isMultipath: Bool

    /// Describes an address.
    public init(
        host: String,
        port: String,
        isNumeric: Bool = false,
        lastPort: UInt16? = nil,
        ipv4: Bool? = nil,
        ipv6: Bool? = nil,
        keepAlive: Bool = false,
        isMultipath: Bool = false
    ) {
        self.host = host
        self.port = port
        self.isNumeric = isNumeric
        self.lastPort = lastPort
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.keepAlive = keepAlive
        self.isMultipath = isMultipath
    }
}

/// A unix socket's place.
///
/// QAPI: `UnixSocketAddress`.
public struct UnixAddress: Sendable, Equatable {
    /// A path, or a name in the abstract namespace.
    public var path: String
    /// The name lives in Linux's abstract namespace.
    ///
    /// QAPI: `abstract`.
    public var isAbstract: Bool
    /// An abstract address ends with its name instead of being filled with zeros.
    ///
    /// QAPI: `tight`.
    public var isTight: Bool

    /// Describes an address.
    public init(path: String, isAbstract: Bool = false, isTight: Bool = true) {
        self.path = path
        self.isAbstract = isAbstract
        self.isTight = isTight
    }
}

extension MigrationAddress: CustomStringConvertible {
    /// The address in URI form, for messages.
    ///
    /// A list of arguments that isn't a shell's is shown with spaces between them.
    public var description: String {
        switch self {
        case .file(let path, 0): "file:\(path)"
        case .file(let path, let offset): "file:\(path),offset=\(offset)"
        case .fd(let name): "fd:\(name)"
        case .exec(let arguments):
            if arguments.count == 3, arguments.starts(with: Self.shell) {
                "exec:\(arguments[2])"
            } else {
                "exec:\(arguments.joined(separator: " "))"
            }
        case .tcp(let address): "tcp:\(address.hostAndPort)"
        case .rdma(let address): "rdma:\(address.hostAndPort)"
        case .unix(let address): "unix:\(address.isAbstract ? "@" : "")\(address.path)"
        case .vsock(let cid, let port): "vsock:\(cid):\(port)"
        }
    }
}

extension InetAddress {
    /// `host:port`, with brackets around an IPv6 address.
    public var hostAndPort: String {
        host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
