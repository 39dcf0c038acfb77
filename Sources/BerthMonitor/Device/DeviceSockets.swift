internal import BerthSystem
internal import Glibc
internal import SystemPackage

/// The sockets behind a device.
struct DeviceSockets: Sendable {
    /// The file of a listening socket.
    enum File: Sendable {
        /// Made here.
        case own(UnixSocketFile)
        /// Came with an inherited listener, whose maker leaves the file to us.
        case inherited(path: String)

        func remove() {
            switch self {
            case .own(let file): file.remove()
            case .inherited(let path):
                guard let status = try? FileStatus(path: path), status.kind == .socket else {
                    return
                }
                _ = unsafe unlink(path)
            }
        }
    }

    /// Where clients are awaited; several if a host has several addresses.
    var listeners: [OwnedDescriptorBox] = []
    /// To be removed when the listener goes.
    var file: File?
    /// A client that is there already.
    var connection: OwnedDescriptorBox?
}

extension DeviceSockets {
    /// Clients that may wait while another is served; QEMU's number.
    private static let backlog: Int32 = 1

    /// Begins to listen.
    ///
    /// - Parameters:
    ///   - socket: a server.
    ///   - abort: ends the look-up of a host name.
    @available(*, noasync, message: "may look up a host name")
    static func listen(
        _ socket: CharacterDevice.Socket,
        abort: WakeEvent
    ) throws(MonitorDeviceError.Cause) -> DeviceSockets {
        switch socket.address {
        case .unix(let path, false, _):
            let listener = try system { () throws(SystemCallError) in
                try UnixSocketFile.listen(at: path, backlog: backlog, mode: Sockets.ownerOnly)
            }
            let file = listener.file
            return DeviceSockets(
                listeners: [OwnedDescriptorBox(listener.takeDescriptor())],
                file: .own(file)
            )
        case .unix(let name, true, let isTight):
            let listener = try system { () throws(SystemCallError) in
                try Sockets.listen(
                    on: .unix(name, isAbstract: true, isTight: isTight),
                    backlog: backlog
                )
            }
            return DeviceSockets(listeners: [OwnedDescriptorBox(listener)])
        case .tcp:
            return DeviceSockets(listeners: try listen(onAny: addresses(of: socket, abort: abort)))
        case .descriptor(let number):
            let listener = try inherited(number, isServer: true)
            guard case .unix(let path, false) = (try? Sockets.localAddress(of: number))?.parts,
                !path.isEmpty
            else { return DeviceSockets(listeners: [listener]) }
            return DeviceSockets(listeners: [listener], file: .inherited(path: path))
        }
    }

    /// Connects.
    ///
    /// - Parameters:
    ///   - socket: not a server.
    ///   - abort: ends the attempt.
    @available(*, noasync, message: "blocks its thread")
    static func connect(
        _ socket: CharacterDevice.Socket,
        abort: WakeEvent
    ) throws(MonitorDeviceError.Cause) -> OwnedDescriptorBox {
        if case .descriptor(let number) = socket.address {
            return try inherited(number, isServer: false)
        }
        var lastFailure = MonitorDeviceError.Cause.aborted
        for address in try addresses(of: socket, abort: abort) {
            do throws(SystemCallError) {
                guard let connection = try Sockets.connect(to: address, abort: abort) else {
                    throw SystemCall.failure("connect", address.description, ECANCELED)
                }
                return OwnedDescriptorBox(connection)
            } catch {
                if error.errno == .canceled { throw .aborted }
                lastFailure = .system(error)
            }
        }
        throw lastFailure
    }

    /// Listens on all of a host's addresses that this machine has.
    private static func listen(
        onAny addresses: [SocketAddress]
    ) throws(MonitorDeviceError.Cause) -> [OwnedDescriptorBox] {
        var listeners: [OwnedDescriptorBox] = []
        var firstFailure: SystemCallError?
        for address in addresses {
            do throws(SystemCallError) {
                listeners.append(
                    OwnedDescriptorBox(try Sockets.listen(on: address, backlog: backlog))
                )
            } catch {
                firstFailure = firstFailure ?? error
            }
        }
        if let firstFailure, listeners.isEmpty { throw .system(firstFailure) }
        return listeners
    }

    private static func addresses(
        of socket: CharacterDevice.Socket,
        abort: WakeEvent
    ) throws(MonitorDeviceError.Cause) -> [SocketAddress] {
        switch socket.address {
        case .unix(let path, let isAbstract, let isTight):
            return [
                try system { () throws(SystemCallError) in
                    try .unix(path, isAbstract: isAbstract, isTight: isTight)
                }
            ]
        case .tcp(let host, let port, let wantsIPv4, let wantsIPv6):
            var request = NameResolution.Request(
                host: host,
                service: port,
                isPassive: socket.isServer
            )
            request.wantsIPv4 = wantsIPv4
            request.wantsIPv6 = wantsIPv6
            do {
                return try NameResolution.addresses(request, abort: abort)
            } catch {
                throw .resolution(error)
            }
        case .descriptor: return []
        }
    }

    /// Takes over a descriptor that the command line names.
    private static func inherited(
        _ number: Int32,
        isServer: Bool
    ) throws(MonitorDeviceError.Cause) -> OwnedDescriptorBox {
        guard OwnedDescriptor.isInherited(number) else {
            throw .descriptor(number, reason: "it was not inherited from the parent process")
        }
        guard (try? Sockets.localAddress(of: number)) != nil else {
            throw .descriptor(number, reason: "it is no socket")
        }
        guard Sockets.isListening(number) == isServer else {
            throw .descriptor(
                number,
                reason: isServer ? "its socket doesn't listen" : "its socket listens"
            )
        }
        let descriptor = OwnedDescriptor(number)
        do {
            try descriptor.setCloseOnExec()
            // A waiting client may be gone again by the time it is accepted.
            if isServer { try descriptor.setNonblocking(true) }
        } catch {
            throw .system(error)
        }
        return OwnedDescriptorBox(descriptor)
    }

    private static func system<Result: ~Copyable>(
        _ body: () throws(SystemCallError) -> Result
    ) throws(MonitorDeviceError.Cause) -> Result {
        do {
            return try body()
        } catch {
            throw .system(error)
        }
    }
}
