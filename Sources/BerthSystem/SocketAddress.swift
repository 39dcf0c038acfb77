internal import CBerthLinux
internal import Glibc
internal import SystemPackage

/// Where a socket is bound or connected: unix, IPv4, IPv6 or vsock.
public struct SocketAddress: Sendable {
    /// The parts of an address that users see.
    public enum Parts: Sendable, Equatable {
        /// A numeric host address and a port.
        case internet(host: String, port: UInt16, isIPv6: Bool)
        /// A path, or a name in Linux's abstract namespace; empty for an unnamed socket.
        case unix(path: String, isAbstract: Bool)
        /// A context identifier and a port.
        case vsock(cid: UInt32, port: UInt32)
        /// A family that isn't known here.
        case other(family: Int32)
    }

    var storage: sockaddr_storage
    var length: socklen_t

    init(storage: sockaddr_storage, length: socklen_t) {
        self.storage = storage
        self.length = length
    }

    /// The longest path or name that a unix socket's address holds: 107 bytes and a NUL.
    public static let unixPathByteLimit = 107

    /// The address of a unix socket.
    ///
    /// - Parameters:
    ///   - path: at most 107 bytes; an abstract name may use them too, without the leading NUL.
    ///   - isAbstract: the name lives in the abstract namespace, not in the file system.
    ///   - isTight: an abstract address ends with its name; otherwise zeros fill all 108 bytes.
    /// - Throws: `SystemCallError` with `ENAMETOOLONG`, or `EINVAL` for an empty path or one with
    ///   a NUL in it.
    public static func unix(
        _ path: String,
        isAbstract: Bool = false,
        isTight: Bool = true
    ) throws(SystemCallError) -> SocketAddress {
        let bytes = Array(path.utf8)
        guard bytes.count <= unixPathByteLimit else {
            throw SystemCall.failure("use the socket path", path, ENAMETOOLONG)
        }
        guard !bytes.isEmpty || isAbstract, isAbstract || !bytes.contains(0) else {
            throw SystemCall.failure("use the socket path", path, EINVAL)
        }
        var storage = sockaddr_storage()
        let family = sa_family_t(AF_UNIX)
        let pathOffset = MemoryLayout<sa_family_t>.size + (isAbstract ? 1 : 0)
        unsafe withUnsafeMutableBytes(of: &storage) { buffer in
            unsafe buffer.storeBytes(of: family, as: sa_family_t.self)
            unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[pathOffset...])
                .copyBytes(from: bytes)
        }
        let fullLength = MemoryLayout<sockaddr_un>.size
        let length = isAbstract && isTight ? pathOffset + bytes.count : fullLength
        return SocketAddress(storage: storage, length: socklen_t(length))
    }

    /// The address of a vsock socket.
    ///
    /// - Parameters:
    ///   - cid: the machine; `UInt32.max` listens for any.
    ///   - port: `UInt32.max` lets the kernel choose.
    public static func vsock(cid: UInt32, port: UInt32) -> SocketAddress {
        var storage = sockaddr_storage()
        let length = unsafe berth_vsock_address(&storage, cid, port)
        return SocketAddress(storage: storage, length: length)
    }

    /// The address family: `AF_UNIX`, `AF_INET`, `AF_INET6` or `AF_VSOCK`.
    public var family: CInt { CInt(storage.ss_family) }

    /// The address taken apart.
    public var parts: Parts {
        switch family {
        case AF_UNIX: unixParts
        case AF_INET, AF_INET6: internetParts
        case berth_AF_VSOCK: vsockParts
        default: .other(family: Int32(family))
        }
    }

    /// The same address with another port; unix addresses have none and stay as they are.
    ///
    /// - Parameter port: an internet port.
    public func withPort(_ port: UInt16) -> SocketAddress {
        guard family == AF_INET || family == AF_INET6 else { return self }
        var copy = self
        unsafe withUnsafeMutableBytes(of: &copy.storage) { buffer in
            // sin_port and sin6_port lie at the same place.
            unsafe buffer.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
        }
        return copy
    }

    /// Calls `body` with the form that socket calls take.
    func withPointer<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        unsafe withUnsafePointer(to: storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe body(address, length)
            }
        }
    }

    /// Asks a socket call such as getsockname(2) for an address.
    init(
        _ call: StaticString,
        _ operand: String,
        _ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> CInt
    ) throws(SystemCallError) {
        storage = sockaddr_storage()
        length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let (value, code) = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                SystemCall.uninterrupted { unsafe body(address, &length) }
            }
        }
        guard value == 0 else { throw SystemCall.failure(call, operand, code) }
    }

    private var unixParts: Parts {
        let bytes = unsafe withUnsafeBytes(of: storage) { buffer in
            unsafe Array(buffer[MemoryLayout<sa_family_t>.size..<max(Int(length), 2)])
        }
        if bytes.first == 0 && bytes.count > 1 {
            return .unix(path: String(decoding: bytes.dropFirst(), as: UTF8.self), isAbstract: true)
        }
        return .unix(
            path: String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self),
            isAbstract: false
        )
    }

    private var internetParts: Parts {
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let code = unsafe withPointer { address, length in
            unsafe getnameinfo(
                address,
                length,
                &host,
                socklen_t(host.count),
                nil,
                0,
                NI_NUMERICHOST
            )
        }
        let port = unsafe withUnsafeBytes(of: storage) {
            UInt16(bigEndian: unsafe $0.load(fromByteOffset: 2, as: UInt16.self))
        }
        let text = host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return .internet(
            host: code == 0 ? String(decoding: text, as: UTF8.self) : "",
            port: port,
            isIPv6: family == AF_INET6
        )
    }

    private var vsockParts: Parts {
        var cid: UInt32 = 0
        var port: UInt32 = 0
        unsafe withUnsafePointer(to: storage) { unsafe berth_vsock_parts($0, &cid, &port) }
        return .vsock(cid: cid, port: port)
    }
}

extension SocketAddress: CustomStringConvertible {
    /// As users write it: `host:port`, `[v6]:port`, a path, `@name` or `cid:port`.
    public var description: String {
        switch parts {
        case .internet(let host, let port, isIPv6: false): "\(host):\(port)"
        case .internet(let host, let port, isIPv6: true): "[\(host)]:\(port)"
        case .unix(let path, isAbstract: false): path
        case .unix(let path, isAbstract: true): "@\(path)"
        case .vsock(let cid, let port): "\(cid):\(port)"
        case .other(let family): "address family \(family)"
        }
    }
}
