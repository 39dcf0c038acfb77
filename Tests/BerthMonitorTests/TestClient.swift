import Glibc
import Testing

/// A client on the other end of a monitor's socket.
///
/// Waits without blocking its thread: the test's tasks share few of them with the monitor's.
final class TestClient {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let raw: CInt
    private var buffer: [UInt8] = []
    private(set) var isAtEnd = false
    /// Nothing here takes longer than some milliseconds; a busy machine gets time.
    private let limit = Duration.seconds(20)

    init(raw: CInt) {
        self.raw = raw
    }

    init(path: String) throws {
        raw = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw Failure(description: "connect to \(path): errno \(errno)") }
    }

    init(port: UInt16) throws {
        raw = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure(description: "connect: errno \(errno)") }
    }

    deinit { close(raw) }

    /// Sends bytes, waiting for room.
    func send(_ bytes: [UInt8], descriptors: [CInt] = []) async throws {
        var rest = bytes[...]
        var passed = descriptors
        let deadline = ContinuousClock.now + limit
        while !rest.isEmpty {
            let count = passed.isEmpty ? sendPlain(Array(rest)) : sendWith(passed, Array(rest))
            if count > 0 {
                rest = rest.dropFirst(count)
                passed = []
            } else {
                guard errno == EAGAIN, ContinuousClock.now < deadline else {
                    throw Failure(description: "send: errno \(errno)")
                }
                try await Task.sleep(for: .milliseconds(1))
            }
        }
    }

    func send(_ text: String, descriptors: [CInt] = []) async throws {
        try await send(Array(text.utf8), descriptors: descriptors)
    }

    private func sendPlain(_ bytes: [UInt8]) -> Int {
        Glibc.send(raw, bytes, bytes.count, CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL))
    }

    private func sendWith(_ descriptors: [CInt], _ bytes: [UInt8]) -> Int {
        // One cmsghdr (length, level, type: 16 bytes) and the numbers, padded to words.
        var control = [UInt64](repeating: 0, count: 2 + (descriptors.count + 1) / 2)
        let length = 16 + 4 * descriptors.count
        return control.withUnsafeMutableBytes { control in
            control.storeBytes(of: length, as: Int.self)
            control.storeBytes(of: SOL_SOCKET, toByteOffset: 8, as: CInt.self)
            control.storeBytes(of: 1, toByteOffset: 12, as: CInt.self)  // SCM_RIGHTS
            for (index, number) in descriptors.enumerated() {
                control.storeBytes(of: number, toByteOffset: 16 + 4 * index, as: CInt.self)
            }
            var bytes = bytes
            return bytes.withUnsafeMutableBytes { bytes in
                var vector = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                return withUnsafeMutablePointer(to: &vector) { vector in
                    var message = msghdr()
                    message.msg_iov = vector
                    message.msg_iovlen = 1
                    message.msg_control = control.baseAddress
                    message.msg_controllen = control.count
                    return sendmsg(raw, &message, CInt(MSG_NOSIGNAL))
                }
            }
        }
    }

    /// The next line without its CR LF; `nil` at the end of the connection.
    func line() async throws -> String? {
        let deadline = ContinuousClock.now + limit
        while true {
            if let end = buffer.firstIndex(of: 0x0A) {
                let line = buffer[..<end]
                buffer.removeFirst(end + 1)
                guard line.last == 0x0D else { throw Failure(description: "LF without CR") }
                return String(decoding: line.dropLast(), as: UTF8.self)
            }
            if isAtEnd { return nil }
            guard receive() else {
                guard ContinuousClock.now < deadline else {
                    throw Failure(description: "no line in time, only \(buffer)")
                }
                try await Task.sleep(for: .milliseconds(1))
                continue
            }
        }
    }

    /// All bytes until they end with `text`.
    func bytes(through text: String) async throws -> String {
        let deadline = ContinuousClock.now + limit
        while !buffer.suffix(text.utf8.count).elementsEqual(text.utf8) {
            guard ContinuousClock.now < deadline, !isAtEnd else {
                throw Failure(description: "got \(String(decoding: buffer, as: UTF8.self))")
            }
            if !receive() { try await Task.sleep(for: .milliseconds(1)) }
        }
        defer { buffer = [] }
        return String(decoding: buffer, as: UTF8.self)
    }

    /// Lines up to one that contains `text`, which is not among them.
    func lines(before text: String) async throws -> [String] {
        var lines: [String] = []
        while let line = try await line() {
            if line.contains(text) { return lines }
            lines.append(line)
        }
        throw Failure(description: "the connection ended after \(lines)")
    }

    /// Whether nothing at all has come so far.
    func isSilent() -> Bool {
        _ = receive()
        return buffer.isEmpty && !isAtEnd
    }

    /// Greeting and negotiation.
    func negotiate(_ arguments: String = "{}") async throws {
        _ = try await line()
        try await send(#"{"execute":"qmp_capabilities","arguments":\#(arguments)}"#)
        let reply = try await line()
        #expect(reply == #"{"return": {}}"#)
    }

    func command(_ text: String) async throws -> String? {
        try await send(text)
        return try await line()
    }

    func shutDownWriting() {
        shutdown(raw, CInt(SHUT_WR))
    }

    private func receive() -> Bool {
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(raw, &piece, piece.count, CInt(MSG_DONTWAIT))
        if count > 0 {
            buffer += piece[..<count]
        } else if count == 0 || errno != EAGAIN {
            isAtEnd = true
        }
        return count >= 0
    }
}
