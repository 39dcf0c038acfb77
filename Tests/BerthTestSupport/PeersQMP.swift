import Foundation

/// A QMP session with a peer: blocking, one request at a time, every wait with a limit.
public final class PeersQMP {
    private let descriptor: CInt
    private var buffer: [UInt8] = []
    /// Events that arrived and that nobody has waited for yet, oldest first.
    public private(set) var events: [PeersJSON] = []
    /// The greeting, as it came.
    public private(set) var greeting: PeersJSON = .null
    /// How long any reply or event may take; a peer that is slower has failed the test.
    public var limit = Duration.seconds(60)

    /// Connects to a unix socket, trying again until something listens there, and negotiates.
    ///
    /// - Parameter isAlive: Asked between tries, so that a peer that died is not waited for.
    public init(connectingTo path: String, whileTrue isAlive: () -> Bool) throws {
        descriptor = try Self.connect(path, isAlive)
        limit = .seconds(20)
        greeting = try nextMessage(before: .now + limit)
        guard greeting["QMP"] != nil else {
            throw PeerFailure("'\(path)' greeted with \(greeting)")
        }
        try execute("qmp_capabilities")
        limit = .seconds(60)
    }

    deinit {
        close(descriptor)
    }

    private static func connect(_ path: String, _ isAlive: () -> Bool) throws -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw PeerFailure("the path '\(path)' is too long for a unix socket")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }

        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw PeerFailure("no socket: errno \(errno)") }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        let deadline = ContinuousClock.now + .seconds(30)
        while true {
            let connected = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
                }
            }
            if connected { return descriptor }
            guard isAlive(), ContinuousClock.now < deadline else {
                close(descriptor)
                throw PeerFailure("nothing listens on '\(path)'")
            }
            usleep(1000)
        }
    }

    /// Sends a command and returns what `return` carries.
    ///
    /// - Throws: `QMPRefusal` if the peer answers with an error.
    @discardableResult
    public func execute(_ command: String, _ arguments: PeersJSON = [:]) throws -> PeersJSON {
        var line = try JSONEncoder().encode(
            PeersJSON.object(["execute": .string(command), "arguments": arguments])
        )
        line.append(UInt8(ascii: "\n"))
        try send(Array(line))
        let deadline = ContinuousClock.now + limit
        while true {
            let message = try nextMessage(before: deadline)
            if let value = message["return"] { return value }
            if let error = message["error"] {
                throw QMPRefusal(
                    command: command,
                    errorClass: error["class"]?.string ?? "",
                    text: error["desc"]?.string ?? ""
                )
            }
            events.append(message)
        }
    }

    /// Waits for the first event that fits, among those that came already too; earlier ones are dropped.
    @discardableResult
    public func waitForEvent(_ name: String, where fits: (PeersJSON) -> Bool = { _ in true }) throws
        -> PeersJSON
    {
        let deadline = ContinuousClock.now + limit
        while true {
            while !events.isEmpty {
                let event = events.removeFirst()
                if event["event"]?.string == name, fits(event["data"] ?? [:]) { return event }
            }
            events.append(try nextMessage(before: deadline))
        }
    }

    /// Waits for the next event, whichever it is, and takes it.
    public func nextEvent() throws -> PeersJSON {
        if events.isEmpty { events.append(try nextMessage(before: .now + limit)) }
        return events.removeFirst()
    }

    /// Forgets the events that came so far.
    public func dropEvents() {
        events = []
    }

    private func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            guard count > 0 else {
                throw PeerFailure("the peer closed its monitor: errno \(errno)")
            }
            rest = rest.dropFirst(count)
        }
    }

    private func nextMessage(before deadline: ContinuousClock.Instant) throws -> PeersJSON {
        while true {
            if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                let line = Data(buffer[..<end])
                buffer.removeSubrange(...end)
                do {
                    return try JSONDecoder().decode(PeersJSON.self, from: line)
                } catch {
                    throw PeerFailure("not JSON: \(String(decoding: line, as: UTF8.self))")
                }
            }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let left = (deadline - .now).components.seconds * 1000
            guard left > 0, poll(&entry, 1, CInt(clamping: left)) > 0 else {
                throw PeerFailure("no answer from the monitor within \(limit)")
            }
            var chunk = [UInt8](repeating: 0, count: 65536)
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { throw PeerFailure("the peer closed its monitor") }
            buffer.append(contentsOf: chunk.prefix(count))
        }
    }
}

/// An error that a monitor answered with.
public struct QMPRefusal: Error, CustomStringConvertible {
    /// The command that was refused.
    public let command: String
    /// The QAPI error class, as sent.
    public let errorClass: String
    /// The member `desc`.
    public let text: String

    /// Command, class and text in one line.
    public var description: String {
        "'\(command)' was refused (\(errorClass)): \(text)"
    }
}
