internal import BerthSystem
internal import Glibc

/// Connects to socket addresses.
enum SocketTransport {
    /// Connects to the first of the address's hosts that answers.
    ///
    /// - Parameter abort: ends the attempt when raised.
    /// - Throws: `TransportError`; the last host's if none answers.
    @available(*, noasync, message: "blocks its thread")
    static func connect(
        to address: MigrationAddress,
        abort: WakeEvent
    ) throws(TransportError) -> OwnedDescriptor {
        let operation = "connect to"
        let name = address.description
        if case .tcp(let inet) = address, inet.host.isEmpty {
            throw TransportError(operation, name, reason: "the host is missing")
        }
        var lastError: SystemCallError?
        for candidate in try resolve(address, operation, isPassive: false, abort: abort) {
            do {
                guard
                    let socket = try Sockets.connect(
                        to: candidate,
                        isMultipath: address.isMultipath,
                        abort: abort
                    )
                else { throw TransportError.aborted(operation, name) }
                try address.applyOptions(to: socket.raw)
                return socket
            } catch let error as SystemCallError {
                lastError = error
            } catch {
                throw TransportError.aborted(operation, name)
            }
        }
        guard let lastError else {
            throw TransportError(operation, name, reason: "no address found")
        }
        throw TransportError(operation, name, cause: lastError)
    }

    /// The socket addresses that an address stands for.
    ///
    /// - Throws: `TransportError` for an unknown name or an impossible address.
    @available(*, noasync, message: "blocks its thread")
    static func resolve(
        _ address: MigrationAddress,
        _ operation: String,
        isPassive: Bool,
        abort: WakeEvent?
    ) throws(TransportError) -> [SocketAddress] {
        let name = address.description
        switch address {
        case .tcp(let inet):
            let request = try inet.resolutionRequest(operation, name, isPassive: isPassive)
            do {
                return try NameResolution.addresses(request, abort: abort)
            } catch {
                guard error.cause != .aborted else { throw .aborted(operation, name) }
                throw TransportError(
                    operation,
                    name,
                    reason: TransportError.lowerCased(error.reason)
                )
            }
        case .unix(let unix):
            do {
                return [
                    try SocketAddress.unix(
                        unix.path,
                        isAbstract: unix.isAbstract,
                        isTight: unix.isTight
                    )
                ]
            } catch {
                throw TransportError(
                    operation,
                    name,
                    cause: error,
                    hint: "a socket's path has at most \(SocketAddress.unixPathByteLimit) bytes"
                )
            }
        case .vsock(let cidText, let portText):
            guard let cid = UInt32(cidText), let port = UInt32(portText) else {
                throw TransportError(
                    operation,
                    name,
                    reason: "context identifier and port must be numbers below 2^32"
                )
            }
            return [SocketAddress.vsock(cid: cid, port: port)]
        case .file, .fd, .exec, .rdma:
            throw TransportError(operation, name, reason: "'\(address.transportName)' is no socket")
        }
    }
}

extension InetAddress {
    /// What to ask the resolver, with the meaning that QEMU gives to `ipv4` and `ipv6`: naming one
    /// family as wanted, or the other as unwanted, leaves only that one.
    func resolutionRequest(
        _ operation: String,
        _ name: String,
        isPassive: Bool
    ) throws(TransportError) -> NameResolution.Request {
        guard ipv4 != false || ipv6 != false else {
            throw TransportError(operation, name, reason: "IPv4 and IPv6 are both switched off")
        }
        var request = NameResolution.Request(host: host, service: port, isPassive: isPassive)
        request.wantsIPv4 = ipv4 ?? (ipv6 != true)
        request.wantsIPv6 = ipv6 ?? (ipv4 != true)
        request.isNumeric = isNumeric
        return request
    }
}

extension MigrationAddress {
    /// Whether the address asks for Multipath TCP.
    var isMultipath: Bool {
        if case .tcp(let inet) = self { inet.isMultipath } else { false }
    }

    /// Sets what the address asks of a connection, and what every migration wants.
    func applyOptions(to raw: CInt) throws(SystemCallError) {
        guard case .tcp(let inet) = self else { return }
        // The stream's small messages come at switchover, where each one's delay is downtime.
        Sockets.disableDelay(raw)
        if inet.keepAlive { try Sockets.enableKeepAlive(raw) }
    }
}
