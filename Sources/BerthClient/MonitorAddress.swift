internal import BerthSystem

/// Where a monitor listens.
enum MonitorAddress: Sendable, Equatable {
    /// The path of a unix socket.
    case unix(String)
    /// A host and a port or service.
    case tcp(host: String, port: String)

    /// Reads an address: `PATH`, `unix:PATH`, `tcp:HOST:PORT` or `HOST:PORT`.
    ///
    /// What has a slash in it is a path.
    ///
    /// - Throws: `ClientError` for `tcp:` without host and port.
    init(_ text: String) throws(ClientError) {
        if text.hasPrefix("unix:") {
            self = .unix(String(text.dropFirst(5)))
            return
        }
        let isTCP = text.hasPrefix("tcp:")
        let rest = isTCP ? text.dropFirst(4) : text[...]
        let colon = rest.lastIndex(of: ":")
        if let colon, isTCP || !rest.contains("/") {
            let port = rest[rest.index(after: colon)...]
            var host = rest[..<colon]
            if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
            if !host.isEmpty, !port.isEmpty {
                self = .tcp(host: String(host), port: String(port))
                return
            }
        }
        guard !isTCP else {
            throw .badLine(
                "cannot connect to '\(text)': no host and port",
                hint: "use tcp:HOST:PORT"
            )
        }
        self = .unix(text)
    }

    /// Connects.
    ///
    /// - Throws: `ClientError` that says why nobody answers there.
    @available(*, noasync, message: "blocks its thread")
    func connect() throws(ClientError) -> OwnedDescriptor {
        do {
            switch self {
            case .unix(let path):
                if let socket = try Sockets.connect(to: .unix(path)) { return socket }
            case .tcp(let host, let port):
                let request = NameResolution.Request(host: host, service: port, isPassive: false)
                var failure: SystemCallError?
                for address in try NameResolution.addresses(request) {
                    do throws(SystemCallError) {
                        if let socket = try Sockets.connect(to: address) { return socket }
                    } catch {
                        failure = failure ?? error
                    }
                }
                if let failure { throw failure }
            }
        } catch let error as SystemCallError {
            throw .broken(
                "cannot connect to '\(self)': \(error.reason)",
                hint: "is the endpoint running, with -qmp or -monitor on this socket?"
            )
        } catch {
            throw .broken("cannot connect to '\(self)': \(error)")
        }
        throw .broken("cannot connect to '\(self)': the attempt was interrupted")
    }
}

extension MonitorAddress: CustomStringConvertible {
    /// The address as a user writes it.
    var description: String {
        switch self {
        case .unix(let path): path
        case .tcp(let host, let port): "\(host):\(port)"
        }
    }
}
