internal import Glibc
internal import Synchronization
internal import SystemPackage

/// A host or service name that doesn't stand for any address.
public struct NameResolutionError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Why: either the resolver's own answer or an end of the wait.
    public enum Cause: Sendable, Equatable {
        /// The resolver's text, such as `Name or service not known`.
        case resolver(String)
        /// The abort event was raised while the resolver worked.
        case aborted
        /// No thread could be had for the look-up.
        case noThread(SystemCallError)
    }

    /// The host as it was given.
    public let host: String
    /// The service or port as it was given.
    public let service: String
    /// What went wrong.
    public let cause: Cause

    /// One phrase: `cannot resolve 'host:port': Name or service not known`.
    public var description: String { "cannot resolve '\(host):\(service)': \(reason)" }

    /// The cause alone, as text.
    public var reason: String {
        switch cause {
        case .resolver(let text): text
        case .aborted: "aborted"
        case .noThread(let error): error.description
        }
    }
}

/// Turns host and service names into addresses.
public enum NameResolution {
    /// Which addresses to look for.
    public struct Request: Sendable {
        /// A name or numeric address; empty for all local addresses (listening) or the loopback.
        public var host: String
        /// A service name or port number.
        public var service: String
        /// Whether IPv4 addresses are wanted; with neither family set, both are.
        public var wantsIPv4 = true
        /// Whether IPv6 addresses are wanted.
        public var wantsIPv6 = true
        /// The addresses are for a listener.
        public var isPassive: Bool
        /// The host must be a numeric address: the network isn't asked.
        public var isNumeric = false

        /// Asks for TCP addresses.
        public init(host: String, service: String, isPassive: Bool) {
            self.host = host
            self.service = service
            self.isPassive = isPassive
        }
    }

    /// Looks a name up.
    ///
    /// Numeric addresses are answered at once. All else may take as long as the system's resolver
    /// takes, in a thread of its own that is left behind when `abort` is raised.
    ///
    /// - Returns: at least one address, in the system's order of preference.
    /// - Throws: `NameResolutionError`.
    @available(*, noasync, message: "blocks its thread")
    public static func addresses(
        _ request: Request,
        abort: WakeEvent? = nil
    ) throws(NameResolutionError) -> [SocketAddress] {
        var numeric = request
        numeric.isNumeric = true
        let quick = lookUp(numeric)
        if case .success(let addresses) = quick { return addresses }
        guard !request.isNumeric else { return try quick.get() }
        guard let abort else { return try lookUp(request).get() }

        let pending: Pending
        do {
            pending = try Pending()
            try NamedThread.start(name: "berth-resolve") {
                let result = lookUp(request)
                pending.result.withLock { $0 = result }
                pending.done.signal()
            }
        } catch {
            throw NameResolutionError(request, .noThread(error))
        }
        let outcome: PollOutcome
        do {
            outcome = try Poll.wait(for: pending.done.raw, .input, abort: abort)
        } catch {
            throw NameResolutionError(request, .noThread(error))
        }
        guard outcome == .ready, let result = pending.result.withLock({ $0 }) else {
            throw NameResolutionError(request, .aborted)
        }
        return try result.get()
    }

    private final class Pending: Sendable {
        let done: WakeEvent
        let result = Mutex<Result<[SocketAddress], NameResolutionError>?>(nil)

        init() throws(SystemCallError) { done = try WakeEvent() }
    }

    private static func lookUp(
        _ request: Request
    ) -> Result<[SocketAddress], NameResolutionError> {
        let socketType = CInt(SOCK_STREAM.rawValue)
        let flags =
            (request.isPassive ? AI_PASSIVE : 0) | (request.isNumeric ? AI_NUMERICHOST : 0)
        let family =
            switch (request.wantsIPv4, request.wantsIPv6) {
            case (true, false): AF_INET
            case (false, true): AF_INET6
            default: AF_UNSPEC
            }
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = socketType
        unsafe hints.ai_flags = flags
        unsafe hints.ai_family = family
        var list: UnsafeMutablePointer<addrinfo>?
        let code =
            if request.host.isEmpty {
                unsafe getaddrinfo(nil, request.service, &hints, &list)
            } else {
                unsafe getaddrinfo(request.host, request.service, &hints, &list)
            }
        guard code == 0 else {
            let reason =
                code == EAI_SYSTEM
                ? Errno(rawValue: Glibc.errno).description
                : unsafe String(cString: gai_strerror(code))
            return .failure(NameResolutionError(request, .resolver(reason)))
        }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            var storage = sockaddr_storage()
            let length = Int(unsafe entry.pointee.ai_addrlen)
            unsafe withUnsafeMutableBytes(of: &storage) { buffer in
                guard let source = unsafe entry.pointee.ai_addr, length <= buffer.count else {
                    return
                }
                unsafe buffer.copyMemory(
                    from: UnsafeRawBufferPointer(start: source, count: length)
                )
            }
            addresses.append(SocketAddress(storage: storage, length: socklen_t(length)))
            unsafe next = unsafe entry.pointee.ai_next
        }
        guard !addresses.isEmpty else {
            return .failure(NameResolutionError(request, .resolver("no address found")))
        }
        return .success(addresses)
    }
}

extension NameResolutionError {
    init(_ request: NameResolution.Request, _ cause: Cause) {
        self.init(host: request.host, service: request.service, cause: cause)
    }
}
