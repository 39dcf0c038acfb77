/// Where a monitor's bytes come from and go to (QEMU: `-chardev` and the DEV of `-qmp`).
public struct CharacterDevice: Sendable, Equatable {
    /// What lies behind the device.
    public enum Backend: Sendable, Equatable {
        /// A stream socket.
        case socket(Socket)
        /// The process's standard input and output.
        case standardStreams
        /// Nothing: output is dropped, input never comes.
        case null
    }

    /// A stream socket, listening or connected.
    public struct Socket: Sendable, Equatable {
        /// Where the socket is, or which one it is.
        public enum Address: Sendable, Equatable {
            /// A unix socket: a path of at most 107 bytes, or a name in the abstract namespace.
            ///
            /// `isTight` ends an abstract address with its name instead of filling it with zeros.
            case unix(path: String, isAbstract: Bool = false, isTight: Bool = true)
            /// TCP: host (empty for all local addresses) and port or service name.
            case tcp(host: String, port: String, wantsIPv4: Bool = true, wantsIPv6: Bool = true)
            /// A descriptor that the process inherited: it listens if `isServer`, otherwise it is
            /// connected.
            case descriptor(Int32)
        }

        /// Where the socket is.
        public var address: Address
        /// Listen for clients, one at a time; otherwise connect.
        public var isServer: Bool
        /// Hold up the start until the first client is there (servers only; QEMU: `wait`).
        public var waitsForClient: Bool
        /// Connect again this long after the connection was lost or refused; `nil` doesn't
        /// (QEMU: `reconnect-ms`, clients only).
        public var reconnectDelay: Duration?
        /// Send small messages at once (TCP only; QEMU: `nodelay`).
        public var disablesDelay: Bool

        /// Describes a socket.
        public init(
            address: Address,
            isServer: Bool,
            waitsForClient: Bool = false,
            reconnectDelay: Duration? = nil,
            disablesDelay: Bool = false
        ) {
            self.address = address
            self.isServer = isServer
            self.waitsForClient = waitsForClient
            self.reconnectDelay = reconnectDelay
            self.disablesDelay = disablesDelay
        }
    }

    /// The device's name: a chardev's id, or `compat_monitor0` and so on.
    public var label: String
    /// What lies behind it.
    public var backend: Backend

    /// Names a device.
    public init(label: String, backend: Backend) {
        self.label = label
        self.backend = backend
    }
}

extension CharacterDevice {
    /// The device as QEMU's messages and `query-chardev` show it while no client is there:
    /// `disconnected:unix:/path,server=on`.
    public var fileName: String {
        switch backend {
        case .standardStreams: "stdio"
        case .null: "null"
        case .socket(let socket): "disconnected:\(socket.description)"
        }
    }
}

extension CharacterDevice.Socket: CustomStringConvertible {
    /// The address in the words of the command line: `unix:/path,server=on`.
    public var description: String {
        let place =
            switch address {
            case .unix(let path, let isAbstract, _):
                "unix:\(path)\(isAbstract ? ",abstract=on" : "")"
            case .tcp(let host, let port, _, _):
                host.contains(":") ? "tcp:[\(host)]:\(port)" : "tcp:\(host):\(port)"
            case .descriptor(let number): "fd:\(number)"
            }
        return isServer ? place + ",server=on" : place
    }
}
