/// A message of the destination to the source, on the way back of the main channel.
///
/// offset 0 type (2) · 2 payload length (2) · 4 payload
///
/// Format: docs/wire/return-path.md. Origin: QEMU 10.0 migration/migration.h,
/// enum mig_rp_message_type.
public enum ReturnPathMessage: Equatable, Sendable {
    /// The last message: 0 if everything is loaded, anything else if the load failed.
    /// QEMU: MIG_RP_MSG_SHUT.
    case shut(UInt32)
    /// Answer to `StreamCommand.ping`. QEMU: MIG_RP_MSG_PONG.
    case pong(UInt32)
    /// Send these pages next; a nil block means the block of the request before.
    /// QEMU: MIG_RP_MSG_REQ_PAGES_ID and MIG_RP_MSG_REQ_PAGES.
    case requestPages(block: String?, start: UInt64, byteCount: UInt32)
    /// Answer to `StreamCommand.receiveBitmap`; a `ReceivedBitmap` follows outside of the framing.
    /// QEMU: MIG_RP_MSG_RECV_BITMAP.
    case receivedBitmap(block: String)
    /// Answer to `StreamCommand.postcopyResume`, value 1. QEMU: MIG_RP_MSG_RESUME_ACK.
    case resumeAck(UInt32)
    /// No device needs more precopy rounds. QEMU: MIG_RP_MSG_SWITCHOVER_ACK.
    case switchoverAck

    /// The number that stands for the message on the wire.
    public var type: UInt16 {
        switch self {
        case .shut: 1
        case .pong: 2
        case .requestPages(.some, _, _): 3
        case .requestPages(nil, _, _): 4
        case .receivedBitmap: 5
        case .resumeAck: 6
        case .switchoverAck: 7
        }
    }
}

extension ReturnPathMessage {
    /// Decodes a message.
    ///
    /// - Throws: `WireError.unknownKind` for an unknown type; `.limitExceeded` for a payload above
    ///   `Limits.returnPathPayloadByteCount`; `.invalidValue` for a payload of the wrong length;
    ///   `.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        let type = try ahead.be16(bytes, "return-path message type")
        guard (1...7).contains(type) else {
            throw .unknownKind(
                field: "return-path message type",
                offset: cursor.streamOffset,
                found: hexadecimal(type)
            )
        }
        let byteCount = Int(try ahead.be16(bytes, "return-path message length"))
        guard byteCount <= Limits.returnPathPayloadByteCount else {
            throw .limitExceeded(
                field: "return-path message length",
                offset: cursor.streamOffset &+ 2,
                limit: UInt64(Limits.returnPathPayloadByteCount),
                found: UInt64(byteCount)
            )
        }
        let fixedByteCount: Int
        switch type {
        case 1, 2, 6: fixedByteCount = 4
        case 3: fixedByteCount = 12
        case 4: fixedByteCount = 12
        default: fixedByteCount = 0
        }
        let hasName = type == 3 || type == 5
        let nameRange = hasName ? 2...256 : 0...0
        guard nameRange.contains(byteCount - fixedByteCount) else {
            throw .invalidValue(
                field: "return-path message length",
                offset: cursor.streamOffset &+ 2,
                expected: hasName ? "\(fixedByteCount) and a block name" : "\(fixedByteCount)",
                found: "\(byteCount)"
            )
        }
        try ahead.require(byteCount, bytes, "return-path message")
        let end = ahead.offset + byteCount
        self = try Self.decodePayload(type, &ahead, bytes.extracting(..<end), from: cursor)
        cursor = ahead
    }

    /// Reads the payload, which ends where the span ends.
    private static func decodePayload(
        _ type: UInt16,
        _ cursor: inout WireCursor,
        _ payload: Span<UInt8>,
        from start: WireCursor
    ) throws(WireError) -> ReturnPathMessage {
        switch type {
        case 1: return .shut(try cursor.be32(payload, "shut value"))
        case 2: return .pong(try cursor.be32(payload, "pong value"))
        case 3, 4:
            let first = try cursor.be64(payload, "requested start")
            let byteCount = try cursor.be32(payload, "requested length")
            let block = type == 3 ? try name(&cursor, payload, from: start) : nil
            return .requestPages(block: block, start: first, byteCount: byteCount)
        case 5: return .receivedBitmap(block: try name(&cursor, payload, from: start))
        case 6: return .resumeAck(try cursor.be32(payload, "resume value"))
        default: return .switchoverAck
        }
    }

    /// Reads a name that fills the rest of the payload.
    private static func name(
        _ cursor: inout WireCursor,
        _ payload: Span<UInt8>,
        from start: WireCursor
    ) throws(WireError) -> String {
        let announced = Int(payload[cursor.offset])
        guard announced == payload.count - cursor.offset - 1 else {
            throw .invalidValue(
                field: "block name length",
                offset: cursor.streamOffset,
                expected: "\(payload.count - cursor.offset - 1), the rest of the message",
                found: "\(announced)"
            )
        }
        return try cursor.cstr(payload, "block name")
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        var payload: [UInt8] = []
        switch self {
        case .shut(let value), .pong(let value), .resumeAck(let value):
            payload.appendBigEndian(value)
        case .requestPages(let block, let start, let byteCount):
            payload.appendBigEndian(start)
            payload.appendBigEndian(byteCount)
            if let block {
                payload.appendName(block)
            }
        case .receivedBitmap(let block):
            payload.appendName(block)
        case .switchoverAck:
            break
        }
        output.appendBigEndian(type)
        output.appendBigEndian(UInt16(truncatingIfNeeded: payload.count))
        output.append(contentsOf: payload)
    }
}
