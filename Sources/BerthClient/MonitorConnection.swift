internal import BerthSystem
internal import Glibc

/// The bytes to and from a monitor; confined to one thread.
final class MonitorConnection {
    /// The other side as the user wrote it, for messages.
    let name: String
    private let socket: OwnedDescriptor
    /// What was read and given back.
    private var unread: [UInt8] = []

    /// How long a monitor may take to greet: both QEMU and Berth do it at once.
    static let greetingLimit = Duration.seconds(10)

    /// Connects.
    ///
    /// - Throws: `ClientError` that says why nobody answers there.
    @available(*, noasync, message: "blocks its thread")
    init(to address: MonitorAddress) throws(ClientError) {
        name = address.description
        socket = try address.connect()
    }

    /// Takes over a connected socket.
    init(_ socket: consuming OwnedDescriptor, name: String) {
        self.socket = socket
        self.name = name
    }

    /// The socket's number, to wait for.
    var raw: CInt { socket.raw }

    /// Looks at the first bytes that are no blanks, and leaves them to be received.
    ///
    /// - Returns: the first byte: `{` for QMP.
    /// - Throws: `ClientError` when nothing comes.
    @available(*, noasync, message: "blocks its thread")
    func peekGreeting() throws(ClientError) -> UInt8 {
        let deadline = ContinuousClock.now + Self.greetingLimit
        while true {
            guard let bytes = try receive(before: deadline) else { throw silence }
            if let first = bytes.first(where: { $0 > 0x20 }) {
                unread = bytes
                return first
            }
        }
    }

    /// What is said of a monitor that accepts and says nothing.
    var silence: ClientError {
        .broken(
            "'\(name)' has not greeted within \(Self.greetingLimit.components.seconds) s",
            hint: "a monitor serves one client at a time: is another one connected?"
        )
    }

    /// Sends all of it.
    ///
    /// - Throws: `ClientError` when the other side has gone.
    @available(*, noasync, message: "blocks its thread")
    func send(_ text: String) throws(ClientError) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.send(raw, buffer.baseAddress, buffer.count, CInt(MSG_NOSIGNAL))
            }
            if count >= 0 {
                bytes = bytes.dropFirst(count)
            } else if errno == EAGAIN {
                try wait(.output, before: nil)
            } else if errno != EINTR {
                throw gone
            }
        }
    }

    /// Receives what is there, at least a byte.
    ///
    /// - Parameter deadline: nil waits for ever.
    /// - Returns: nil when nothing came in time.
    /// - Throws: `ClientError` when the other side has gone.
    @available(*, noasync, message: "blocks its thread")
    func receive(before deadline: ContinuousClock.Instant?) throws(ClientError) -> [UInt8]? {
        if !unread.isEmpty {
            defer { unread = [] }
            return unread
        }
        while true {
            guard try wait(.input, before: deadline) else { return nil }
            var count = 0
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 65536) { buffer, used in
                count = unsafe recv(raw, buffer.baseAddress, buffer.count, 0)
                used = max(count, 0)
            }
            if count > 0 { return bytes }
            if count == 0 { throw gone }
            guard errno == EINTR || errno == EAGAIN else { throw gone }
        }
    }

    /// Whether something could be received at once, be it the end.
    @available(*, noasync, message: "blocks its thread")
    var hasInput: Bool {
        !unread.isEmpty || (try? Poll.wait(for: raw, .input, timeout: .zero)) == .ready
    }

    private var gone: ClientError { .broken("'\(name)' has closed the connection") }

    @available(*, noasync, message: "blocks its thread")
    @discardableResult
    private func wait(
        _ events: PollEvents,
        before deadline: ContinuousClock.Instant?
    ) throws(ClientError) -> Bool {
        let timeout = deadline.map { ContinuousClock.now.duration(to: $0) }
        do {
            return try Poll.wait(for: raw, events, timeout: timeout) == .ready
        } catch {
            throw .broken("cannot wait for '\(name)': \(error)")
        }
    }
}
