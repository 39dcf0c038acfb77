internal import CBerthLinux
internal import Glibc

/// Descriptors that came with a message, oldest first; the ones not taken are closed.
public struct ReceivedDescriptors: ~Copyable, Sendable {
    private var numbers: [CInt]
    /// The kernel had to drop descriptors: more came than there was room for.
    public let isTruncated: Bool

    init(_ numbers: [CInt], isTruncated: Bool) {
        self.numbers = numbers
        self.isTruncated = isTruncated
    }

    /// No descriptors.
    public init() {
        self.init([], isTruncated: false)
    }

    deinit {
        for number in numbers { _ = close(number) }
    }

    /// How many are left.
    public var count: Int { numbers.count }

    /// Whether none is left.
    public var isEmpty: Bool { numbers.isEmpty }

    /// Takes the oldest one.
    public mutating func takeFirst() -> OwnedDescriptor? {
        numbers.isEmpty ? nil : OwnedDescriptor(numbers.removeFirst())
    }
}

extension Sockets {
    /// Descriptors that one message may carry.
    public static let descriptorLimit = Int(BERTH_MAX_DESCRIPTORS)

    /// What a non-blocking receive found.
    public enum ReceiveOutcome: Sendable, Equatable {
        /// Bytes were read, at least one.
        case bytes(Int)
        /// The other side sends no more.
        case end
        /// Nothing is there now.
        case wouldBlock
    }

    /// Reads what a socket holds now, with the descriptors that came along.
    ///
    /// Never blocks. The kernel ends a read at a message that carries descriptors, so the bytes
    /// returned are at most one such message's, and whatever was sent without any before it.
    ///
    /// - Parameters:
    ///   - raw: a stream socket.
    ///   - buffer: where the bytes go; not empty.
    ///   - descriptors: is replaced (what it held is closed) only if the message carries any.
    /// - Throws: `SystemCallError` for `recvmsg`.
    public static func receive(
        from raw: CInt,
        into buffer: UnsafeMutableRawBufferPointer,
        descriptors: inout ReceivedDescriptors
    ) throws(SystemCallError) -> ReceiveOutcome {
        var numbers: [16 of CInt] = .init(repeating: -1)
        var received = 0
        var truncated: CInt = 0
        let (count, code) = SystemCall.uninterrupted {
            var span = numbers.mutableSpan
            return unsafe span.withUnsafeMutableBufferPointer { space in
                unsafe berth_receive_descriptors(
                    raw,
                    buffer.baseAddress,
                    buffer.count,
                    CInt(MSG_DONTWAIT),
                    space.baseAddress,
                    space.count,
                    &received,
                    &truncated
                )
            }
        }
        if count == -1 {
            if code == EAGAIN { return .wouldBlock }
            throw SystemCall.failure("recvmsg", "fd \(raw)", code)
        }
        if received > 0 || truncated != 0 {
            descriptors = ReceivedDescriptors(
                (0..<min(received, numbers.count)).map { numbers[$0] },
                isTruncated: truncated != 0
            )
        }
        return count == 0 ? .end : .bytes(count)
    }

    /// Sends bytes, and descriptors with the first of them.
    ///
    /// Never blocks, never raises SIGPIPE.
    ///
    /// - Parameters:
    ///   - raw: a stream socket; a unix one if there are descriptors.
    ///   - bytes: what to send; at least one byte if there are descriptors.
    ///   - descriptors: numbers of open descriptors, at most `descriptorLimit`; they stay open.
    /// - Returns: bytes sent, 0 if there was no room. Descriptors go with the first byte.
    /// - Throws: `SystemCallError` for `sendmsg`.
    public static func send(
        to raw: CInt,
        _ bytes: UnsafeRawBufferPointer,
        descriptors: [CInt] = []
    ) throws(SystemCallError) -> Int {
        let (count, code) = SystemCall.uninterrupted {
            unsafe berth_send_descriptors(
                raw,
                bytes.baseAddress,
                bytes.count,
                CInt(MSG_DONTWAIT),
                descriptors,
                descriptors.count
            )
        }
        if count == -1 {
            if code == EAGAIN { return 0 }
            throw SystemCall.failure("sendmsg", "fd \(raw)", code)
        }
        return count
    }
}
