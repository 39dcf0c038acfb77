internal import CBerthLinux
internal import Glibc
internal import SystemPackage

/// Stream sockets: making, listening, connecting, accepting.
///
/// Sockets made here are close-on-exec and non-blocking; waiting is done with `Poll`, so that an
/// abort event can end it.
public enum Sockets {
    /// Permissions of a unix socket's file when only its owner may connect.
    public static let ownerOnly: UInt32 = 0o600

    /// Opens a listening socket.
    ///
    /// A unix address: what lies at the path is not removed here, see `UnixSocketFile`.
    ///
    /// - Parameters:
    ///   - address: where to listen.
    ///   - backlog: connections that may wait to be accepted.
    ///   - unixMode: permission bits of a unix socket's file, before the process's umask; `nil`
    ///     leaves them to the umask alone.
    ///   - isMultipath: use Multipath TCP.
    /// - Throws: `SystemCallError` for `socket`, `bind` or `listen`, with the address as operand.
    public static func listen(
        on address: SocketAddress,
        backlog: Int32 = 1,
        unixMode: UInt32? = nil,
        isMultipath: Bool = false
    ) throws(SystemCallError) -> OwnedDescriptor {
        let socket = try make(address, isMultipath)
        let raw = socket.raw
        if address.family == AF_INET || address.family == AF_INET6 {
            // A listener that went away a moment ago must not keep its port in TIME_WAIT.
            try set(raw, SOL_SOCKET, SO_REUSEADDR, 1)
        }
        if address.family == AF_INET6 {
            // "All addresses" is two listeners; this one must leave IPv4 to the other.
            try set(raw, CInt(IPPROTO_IPV6), IPV6_V6ONLY, 1)
        }
        if let unixMode {
            // Linux gives the new file the mode that the socket has, so it is never wider.
            try SystemCall.check("fchmod", address.description) { fchmod(raw, unixMode) }
        }
        try SystemCall.check("bind", address.description) {
            unsafe address.withPointer { unsafe bind(raw, $0, $1) }
        }
        try SystemCall.check("listen", address.description) { Glibc.listen(raw, backlog) }
        return socket
    }

    /// Waits for a connection and takes it.
    ///
    /// - Parameters:
    ///   - listener: a listening socket's descriptor; it may be a blocking one.
    ///   - abort: ends the wait when raised.
    ///   - timeout: `nil` waits for ever.
    /// - Returns: the connection, or `nil` when aborted or timed out.
    /// - Throws: `SystemCallError` for `accept4` or `poll`.
    @available(*, noasync, message: "blocks its thread")
    public static func accept(
        on listener: CInt,
        abort: WakeEvent? = nil,
        timeout: Duration? = nil
    ) throws(SystemCallError) -> OwnedDescriptor? {
        while true {
            guard try Poll.wait(for: listener, .input, abort: abort, timeout: timeout) == .ready
            else { return nil }
            if let connection = try acceptNow(on: listener) { return connection }
        }
    }

    /// Takes a connection that waits already.
    ///
    /// - Returns: `nil` if there is none, or if it went away before it was taken.
    /// - Throws: `SystemCallError` for `accept4`, such as `EMFILE`.
    public static func acceptNow(
        on listener: CInt
    ) throws(SystemCallError) -> OwnedDescriptor? {
        let flags = CInt(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let (raw, code) = SystemCall.uninterrupted { berth_accept4(listener, flags) }
        if raw != -1 { return OwnedDescriptor(raw) }
        switch code {
        case EAGAIN, ECONNABORTED, EPROTO: return nil
        default: throw SystemCall.failure("accept4", "fd \(listener)", code)
        }
    }

    /// Connects to an address.
    ///
    /// - Parameters:
    ///   - address: the listener's.
    ///   - isMultipath: use Multipath TCP.
    ///   - abort: ends the attempt when raised.
    /// - Returns: the connection, or `nil` when aborted.
    /// - Throws: `SystemCallError` for `socket` or `connect`, with the address as operand.
    @available(*, noasync, message: "blocks its thread")
    public static func connect(
        to address: SocketAddress,
        isMultipath: Bool = false,
        abort: WakeEvent? = nil
    ) throws(SystemCallError) -> OwnedDescriptor? {
        let socket = try make(address, isMultipath)
        let raw = socket.raw
        while true {
            let value = unsafe address.withPointer { unsafe Glibc.connect(raw, $0, $1) }
            if value == 0 { return socket }
            let code = Glibc.errno
            switch code {
            case EINPROGRESS, EINTR:
                guard try Poll.wait(for: raw, .output, abort: abort) == .ready else { return nil }
                let result = try get(raw, SOL_SOCKET, SO_ERROR)
                guard result == 0 else {
                    throw SystemCall.failure("connect", address.description, result)
                }
                return socket
            case EAGAIN where address.family == AF_UNIX:
                // A unix listener's queue is full. Nothing can be polled for that, so look again
                // every so often; 10 ms is no burden and no delay that anybody sees.
                let pause = Duration.milliseconds(10)
                if let abort {
                    guard try Poll.wait(for: abort.raw, .input, timeout: pause) == .timedOut
                    else { return nil }
                } else {
                    _ = try Poll.wait(for: -1, [], timeout: pause)
                }
            default:
                throw SystemCall.failure("connect", address.description, code)
            }
        }
    }

    /// Two connected unix sockets.
    ///
    /// - Throws: `SystemCallError` for `socketpair`.
    public static func pair() throws(SystemCallError) -> DescriptorPair {
        var ends: (CInt, CInt) = (-1, -1)
        try SystemCall.check("socketpair", "") {
            unsafe withUnsafeMutablePointer(to: &ends) { pointer in
                unsafe pointer.withMemoryRebound(to: CInt.self, capacity: 2) { numbers in
                    unsafe socketpair(
                        AF_UNIX,
                        CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue),
                        0,
                        numbers
                    )
                }
            }
        }
        return DescriptorPair(OwnedDescriptor(ends.0), OwnedDescriptor(ends.1))
    }

    /// Ends a connection in both directions; whoever blocks on it wakes up.
    ///
    /// - Parameter raw: a socket; an unconnected one is left alone.
    public static func shutDown(_ raw: CInt) {
        _ = shutdown(raw, CInt(SHUT_RDWR))
    }

    /// Ends a connection's way in; whoever blocks on it wakes up, the way out stays open.
    ///
    /// What has come can still be read; behind it is the end.
    ///
    /// - Parameter raw: a socket; an unconnected one is left alone.
    public static func shutDownInput(_ raw: CInt) {
        _ = shutdown(raw, CInt(SHUT_RD))
    }

    /// The address that a socket is bound to.
    ///
    /// - Throws: `SystemCallError` for `getsockname`.
    public static func localAddress(of raw: CInt) throws(SystemCallError) -> SocketAddress {
        try unsafe SocketAddress("getsockname", "fd \(raw)") { unsafe getsockname(raw, $0, $1) }
    }

    /// The address of the other side.
    ///
    /// - Throws: `SystemCallError` for `getpeername`.
    public static func peerAddress(of raw: CInt) throws(SystemCallError) -> SocketAddress {
        try unsafe SocketAddress("getpeername", "fd \(raw)") { unsafe getpeername(raw, $0, $1) }
    }

    /// Process and user on the other side of a unix socket.
    ///
    /// - Throws: `SystemCallError` for `getsockopt`.
    public static func peerCredentials(
        of raw: CInt
    ) throws(SystemCallError) -> (processID: Int32, userID: UInt32) {
        var process: pid_t = 0
        var user: uid_t = 0
        try SystemCall.check("getsockopt", "fd \(raw)") {
            unsafe berth_peer_credentials(raw, &process, &user)
        }
        return (process, user)
    }

    /// Whether a descriptor is a socket that listens.
    public static func isListening(_ raw: CInt) -> Bool {
        (try? get(raw, SOL_SOCKET, SO_ACCEPTCONN)) == 1
    }

    /// Sends small messages at once instead of gathering them (TCP; nothing happens elsewhere).
    public static func disableDelay(_ raw: CInt) {
        try? set(raw, CInt(IPPROTO_TCP), TCP_NODELAY, 1)
    }

    /// Has the kernel probe an idle connection's other side.
    ///
    /// - Throws: `SystemCallError` for `setsockopt`.
    public static func enableKeepAlive(_ raw: CInt) throws(SystemCallError) {
        try set(raw, SOL_SOCKET, SO_KEEPALIVE, 1)
    }

    private static func make(
        _ address: SocketAddress,
        _ isMultipath: Bool
    ) throws(SystemCallError) -> OwnedDescriptor {
        let type = CInt(
            SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        )
        let raw = try SystemCall.check("socket", address.description) {
            socket(address.family, type, isMultipath ? berth_IPPROTO_MPTCP : 0)
        }
        return OwnedDescriptor(raw)
    }

    private static func set(
        _ raw: CInt,
        _ level: CInt,
        _ option: CInt,
        _ value: CInt
    ) throws(SystemCallError) {
        var value = value
        try SystemCall.check("setsockopt", "fd \(raw)") {
            unsafe setsockopt(raw, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
        }
    }

    /// Takes the error that a connection has met, and that no call has reported yet; 0 for none.
    ///
    /// - Throws: `SystemCallError` for `getsockopt`.
    public static func takeError(of raw: CInt) throws(SystemCallError) -> CInt {
        try get(raw, SOL_SOCKET, SO_ERROR)
    }

    private static func get(
        _ raw: CInt,
        _ level: CInt,
        _ option: CInt
    ) throws(SystemCallError) -> CInt {
        var value: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        try SystemCall.check("getsockopt", "fd \(raw)") {
            unsafe getsockopt(raw, level, option, &value, &length)
        }
        return value
    }
}
