internal import BerthSystem
internal import Glibc
internal import SystemPackage

/// The listening sockets of one address: one, or for TCP one for each of the host's addresses.
struct SocketListener: Sendable {
    /// Connections that may wait: all channels of a migration, so that none is turned away.
    private static let backlog: Int32 = 128

    /// The sockets; not empty.
    let sockets: [OwnedDescriptorBox]
    /// What they are bound to, in the same order, with the ports that the kernel chose.
    let addresses: [MigrationAddress]
    /// The unix socket's file, to be removed in the end.
    let file: UnixSocketFile?

    /// Listens on an address.
    ///
    /// - Throws: `TransportError`; nothing is left open then.
    static func open(_ address: MigrationAddress) throws(TransportError) -> SocketListener {
        let name = address.description
        let candidates = try SocketTransport.resolve(
            address,
            "listen on",
            isPassive: true,
            abort: nil
        )
        do {
            switch address {
            case .tcp(let inet): return try tcp(inet, candidates)
            case .unix(let unix) where !unix.isAbstract:
                let listener = try UnixSocketFile.listen(at: unix.path, backlog: backlog)
                let file = listener.file
                return SocketListener(
                    sockets: [OwnedDescriptorBox(listener.takeDescriptor())],
                    addresses: [address],
                    file: file
                )
            default:
                let sockets = try candidates.map {
                    candidate throws(SystemCallError) in
                    OwnedDescriptorBox(try Sockets.listen(on: candidate, backlog: backlog))
                }
                return try SocketListener(sockets, address)
            }
        } catch {
            throw TransportError("listen on", name, cause: error)
        }
    }

    private init(
        sockets: [OwnedDescriptorBox],
        addresses: [MigrationAddress],
        file: UnixSocketFile?
    ) {
        self.sockets = sockets
        self.addresses = addresses
        self.file = file
    }

    private init(
        _ sockets: [OwnedDescriptorBox],
        _ address: MigrationAddress
    ) throws(SystemCallError) {
        addresses = try sockets.map { socket throws(SystemCallError) in
            address.bound(to: try Sockets.localAddress(of: socket.raw ?? -1).parts)
        }
        self.sockets = sockets
        file = nil
    }

    /// What a wait came to.
    enum Ready {
        /// A connection can be accepted on this socket.
        case connection(CInt)
        /// The other descriptor with this index can be read.
        case other(Int)
        /// Nothing, until the time was up.
        case nothing
        /// The wait was ended.
        case aborted
    }

    /// Waits until a connection can be accepted or one of other descriptors can be read.
    ///
    /// - Parameters:
    ///   - others: looked at only where no connection waits.
    ///   - timeout: `nil` waits for ever, zero or less only looks.
    /// - Throws: `SystemCallError` for `poll`, and for sockets that have been closed.
    @available(*, noasync, message: "blocks its thread")
    static func waitForFirst(
        of sockets: [OwnedDescriptorBox],
        _ others: [CInt],
        abort: WakeEvent,
        timeout: Duration?
    ) throws(SystemCallError) -> Ready {
        let listening = sockets.compactMap(\.raw)
        var requests = ([abort.raw] + listening + others).map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        guard requests.count > 1 else { throw SystemCall.failure("accept4", "", EBADF) }
        let readyCount = try unsafe requests.withUnsafeMutableBufferPointer {
            buffer throws(SystemCallError) in try unsafe Poll.wait(buffer, timeout: timeout)
        }
        guard requests[0].revents == 0 else { return .aborted }
        guard readyCount > 0, let index = requests.firstIndex(where: { $0.revents != 0 }) else {
            return .nothing
        }
        return index <= listening.count
            ? .connection(requests[index].fd) : .other(index - listening.count - 1)
    }

    /// Stops listening and removes the unix socket's file.
    ///
    /// A second call does nothing.
    func close() {
        // The file first: as long as the socket lives, nobody else's can be in its place.
        if sockets.contains(where: { $0.raw != nil }) { file?.remove() }
        for socket in sockets { _ = socket.take() }
    }

    /// Listens on all addresses with the first port of the range that is free on each of them.
    ///
    /// With port 0 the kernel chooses, for each address another one.
    private static func tcp(
        _ inet: InetAddress,
        _ candidates: [SocketAddress]
    ) throws(SystemCallError) -> SocketListener {
        let first = candidates.lazy.compactMap(\.internetPort).first ?? 0
        // A range that ends before it begins holds its first port only.
        let last = first == 0 ? 0 : max(inet.lastPort ?? first, first)
        var port = first
        while true {
            do {
                return try SocketListener(listen(candidates, port, inet), .tcp(inet))
            } catch {
                guard error.errno.rawValue == EADDRINUSE, port < last else { throw error }
                port += 1
            }
        }
    }

    private static func listen(
        _ candidates: [SocketAddress],
        _ port: UInt16,
        _ inet: InetAddress
    ) throws(SystemCallError) -> [OwnedDescriptorBox] {
        var sockets: [OwnedDescriptorBox] = []
        var lastError: SystemCallError?
        for candidate in candidates {
            do {
                let socket = try Sockets.listen(
                    on: candidate.withPort(port),
                    backlog: backlog,
                    isMultipath: inet.isMultipath
                )
                sockets.append(OwnedDescriptorBox(socket))
            } catch {
                // A host without IPv6 still resolves "all addresses" to both families.
                guard error.errno.rawValue == EAFNOSUPPORT || error.errno.rawValue == EADDRNOTAVAIL
                else { throw error }
                lastError = error
            }
        }
        if sockets.isEmpty, let lastError { throw lastError }
        return sockets
    }
}

extension SocketAddress {
    /// The port of an internet address.
    var internetPort: UInt16? {
        if case .internet(_, let port, _) = parts { port } else { nil }
    }
}

extension MigrationAddress {
    /// This address with what a socket is really bound to, as `query-migrate` shows it.
    func bound(to parts: SocketAddress.Parts) -> MigrationAddress {
        switch parts {
        case .internet(let host, let port, let isIPv6):
            .tcp(
                InetAddress(
                    host: host,
                    port: "\(port)",
                    ipv4: isIPv6 ? nil : true,
                    ipv6: isIPv6 ? true : nil
                )
            )
        case .vsock(let cid, let port): .vsock(cid: "\(cid)", port: "\(port)")
        case .unix, .other: self
        }
    }
}
