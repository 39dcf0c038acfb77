/// What an endpoint tells a process that writes its memory.
///
/// Eight bytes of header, then the payload; integers little-endian.
///
/// offset 0 type (4) · 4 bytes of payload (4) · 8 payload
///
/// Format: docs/wire/external-writer.md.
enum EndpointMessage: Equatable {
    /// The memory, whose descriptor comes along: its bytes, and where they begin in the file.
    case hello(byteCount: UInt64, offset: UInt64)
    /// Write, until told otherwise.
    case run
    /// Stop writing, and say so.
    case pause
    /// The connection ends, and why.
    case error(String)

    /// The message as it is sent.
    var bytes: [UInt8] {
        switch self {
        case .hello(let byteCount, let offset):
            var payload = ExternalWriterProtocol.magic
            payload.append(littleEndian: ExternalWriterProtocol.version)
            payload.append(littleEndian: UInt32(0))
            payload.append(littleEndian: byteCount)
            payload.append(littleEndian: offset)
            return Self.frame(1, payload)
        case .run: return Self.frame(3, [])
        case .pause: return Self.frame(4, [])
        case .error(let text):
            return Self.frame(6, Array(text.utf8.prefix(ExternalWriterProtocol.textByteLimit)))
        }
    }

    private static func frame(_ type: UInt32, _ payload: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: type)
        bytes.append(littleEndian: UInt32(payload.count))
        return bytes + payload
    }
}

/// What a process that writes an endpoint's memory tells it.
///
/// Format: docs/wire/external-writer.md.
enum PeerMessage: Equatable {
    /// The memory is mapped at this address; the userfaultfd comes along if the peer is `tracked`.
    case attach(address: UInt64, isTracked: Bool)
    /// Nothing is written any more.
    case paused

    /// Takes the first message out of what was received.
    ///
    /// - Returns: nil if it isn't there in full yet.
    /// - Throws: `PeerRefusal` for what a peer doesn't send. The bytes then are of no use any more.
    static func take(from bytes: inout [UInt8]) throws(PeerRefusal) -> PeerMessage? {
        guard let type = bytes.littleEndian(UInt32.self, at: 0),
            let length = bytes.littleEndian(UInt32.self, at: 4)
        else { return nil }
        let expected: UInt32
        switch type {
        case 2: expected = 16
        case 5: expected = 0
        default: throw PeerRefusal("message of the unknown type \(type)")
        }
        // Before waiting for the payload: a peer's number must not decide how long that takes.
        guard length == expected else {
            throw PeerRefusal("message of type \(type) with \(length) bytes, not \(expected)")
        }
        if type == 5 {
            bytes.removeFirst(8)
            return .paused
        }
        guard let version = bytes.littleEndian(UInt32.self, at: 8),
            let flags = bytes.littleEndian(UInt32.self, at: 12),
            let address = bytes.littleEndian(UInt64.self, at: 16)
        else { return nil }
        guard version == ExternalWriterProtocol.version else {
            throw PeerRefusal(
                "version \(version) of the protocol, not \(ExternalWriterProtocol.version)"
            )
        }
        guard flags <= 1 else {
            throw PeerRefusal("unknown flags 0x\(String(flags, radix: 16))")
        }
        bytes.removeFirst(24)
        return .attach(address: address, isTracked: flags == 1)
    }
}

/// Numbers of the protocol; docs/wire/external-writer.md.
enum ExternalWriterProtocol {
    /// The first bytes of the first message.
    static let magic = Array("BERTHMEM".utf8)
    /// Grows when an older side would misunderstand a newer one.
    static let version: UInt32 = 1
    /// The longest message from a peer.
    static let peerMessageByteLimit = 24
    /// The longest text of an error: long enough for a sentence, short enough for any buffer.
    static let textByteLimit = 480
}

/// Why a peer is sent away: what it did, in words that go to it and to the operator.
struct PeerRefusal: Error, Equatable {
    let message: String

    init(_ message: String) {
        self.message = message
    }
}

extension [UInt8] {
    fileprivate mutating func append<Number: FixedWidthInteger>(littleEndian number: Number) {
        for shift in stride(from: 0, to: Number.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: number >> Number(shift)))
        }
    }

    fileprivate func littleEndian<Number: FixedWidthInteger>(
        _ type: Number.Type,
        at offset: Int
    ) -> Number? {
        guard count >= offset + Number.bitWidth / 8 else { return nil }
        var number: Number = 0
        for index in 0..<Number.bitWidth / 8 {
            number |= Number(self[offset + index]) << Number(index * 8)
        }
        return number
    }
}
