extension StreamCommand {
    /// Decodes a command from its kind byte on.
    ///
    /// - Throws: `WireError.unknownKind` for another element or an unknown code; `.invalidValue`
    ///   for a payload of the wrong length or with values that no source sends; `.limitExceeded`
    ///   for a package that is too long; `.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        let kind = try ahead.u8(bytes, "command type")
        guard kind == ElementKind.command.rawValue else {
            throw .unknownKind(
                field: "command type",
                offset: cursor.streamOffset,
                found: hexadecimal(kind)
            )
        }
        let codeOffset = ahead.streamOffset
        let code = try ahead.be16(bytes, "command code")
        guard Self.codes.contains(code) else {
            throw .unknownKind(
                field: "command code",
                offset: codeOffset,
                found: hexadecimal(code)
            )
        }
        let payload = Payload(
            byteCount: Int(try ahead.be16(bytes, "command payload length")),
            lengthOffset: codeOffset &+ 2
        )
        if let fixed = Self.fixedPayloadByteCount(of: code) {
            try payload.requireLength(fixed)
        }
        let start = ahead.offset
        try ahead.require(payload.byteCount, bytes, "command payload")
        self = try Self.decodePayload(code, payload, &ahead, bytes)
        guard ahead.offset == start + payload.byteCount else {
            throw payload.wrongLength(expected: ahead.offset - start)
        }
        cursor = ahead
    }

    /// The payload length that code's command must have; nil if it varies.
    static func fixedPayloadByteCount(of code: UInt16) -> Int? {
        switch code {
        case 2, 7: 4
        case 3, 6, 10: nil
        default: 0
        }
    }

    /// Length of a payload and the place where it was read, for messages.
    private struct Payload {
        var byteCount: Int
        var lengthOffset: UInt64

        func requireLength(_ expected: Int) throws(WireError) {
            guard byteCount == expected else {
                throw wrongLength(expected: expected)
            }
        }

        func wrongLength(expected: Int) -> WireError {
            .invalidValue(
                field: "command payload length",
                offset: lengthOffset,
                expected: String(expected),
                found: String(byteCount)
            )
        }
    }

    /// Reads the payload, which is in the span as a whole.
    private static func decodePayload(
        _ code: UInt16,
        _ payload: Payload,
        _ cursor: inout WireCursor,
        _ bytes: Span<UInt8>
    ) throws(WireError) -> StreamCommand {
        switch code {
        case 1: return .openReturnPath
        case 2: return .ping(try cursor.be32(bytes, "ping value"))
        case 3:
            guard payload.byteCount > 0 else {
                return .postcopyAdvise(nil)
            }
            try payload.requireLength(16)
            let summary = try cursor.be64(bytes, "postcopy page size summary")
            let target = try cursor.be64(bytes, "postcopy target page size")
            return .postcopyAdvise(
                PostcopyAdvice(pageSizeSummary: summary, targetPageByteCount: target)
            )
        case 4: return .postcopyListen
        case 5: return .postcopyRun
        case 6:
            let end = cursor.offset + payload.byteCount
            return .postcopyRAMDiscard(
                try RAMDiscard(decoding: &cursor, bytes.extracting(..<end))
            )
        case 7:
            let offset = cursor.streamOffset
            let byteCount = try cursor.be32(bytes, "package length")
            guard byteCount <= Limits.packageByteCount else {
                throw .limitExceeded(
                    field: "package length",
                    offset: offset,
                    limit: Limits.packageByteCount,
                    found: UInt64(byteCount)
                )
            }
            return .packaged(byteCount: byteCount)
        case 8: return .enableCOLO
        case 9: return .postcopyResume
        case 10:
            let nameByteCount = payload.byteCount - 1
            guard nameByteCount > 0, Int(bytes[cursor.offset]) == nameByteCount else {
                throw .invalidValue(
                    field: "command payload length",
                    offset: payload.lengthOffset,
                    expected: "one block name",
                    found: "\(payload.byteCount) bytes"
                )
            }
            return .receiveBitmap(block: try cursor.cstr(bytes, "block name"))
        default: return .switchoverStart
        }
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        var payload: [UInt8] = []
        switch self {
        case .ping(let value):
            payload.appendBigEndian(value)
        case .postcopyAdvise(let advice?):
            payload.appendBigEndian(advice.pageSizeSummary)
            payload.appendBigEndian(advice.targetPageByteCount)
        case .postcopyRAMDiscard(let discard):
            discard.encode(into: &payload)
        case .packaged(let byteCount):
            payload.appendBigEndian(byteCount)
        case .receiveBitmap(let block):
            payload.appendName(block)
        case .openReturnPath, .postcopyAdvise(nil), .postcopyListen, .postcopyRun, .enableCOLO,
            .postcopyResume, .switchoverStart:
            break
        }
        precondition(payload.count <= 0xffff, "a command's payload has at most 65535 bytes")
        output.append(ElementKind.command.rawValue)
        output.appendBigEndian(code)
        output.appendBigEndian(UInt16(truncatingIfNeeded: payload.count))
        output.append(contentsOf: payload)
    }
}

extension StreamCommand.RAMDiscard {
    private static let version: UInt8 = 0
    private static let rangeByteCount = 16

    /// Decodes a payload that ends where the span ends.
    ///
    /// The lengths are checked first: the payload is there as a whole, so one that is too short is
    /// wrong and no reason to wait for more.
    init(decoding cursor: inout WireCursor, _ payload: Span<UInt8>) throws(WireError) {
        let byteCount = payload.count - cursor.offset
        let nameByteCount = byteCount > 1 ? Int(payload[cursor.offset + 1]) : 0
        let rangesByteCount = byteCount - nameByteCount - 3
        guard rangesByteCount >= Self.rangeByteCount, rangesByteCount % Self.rangeByteCount == 0
        else {
            throw .invalidValue(
                field: "discard payload",
                offset: cursor.streamOffset,
                expected: "a block name and whole ranges of \(Self.rangeByteCount) bytes",
                found: "\(byteCount) bytes"
            )
        }
        let version = try cursor.u8(payload, "discard version")
        guard version == Self.version else {
            throw .unsupportedVersion(
                field: "discard version",
                offset: cursor.streamOffset &- 1,
                supported: 0...0,
                found: UInt32(version)
            )
        }
        block = try cursor.cstr(payload, "block name")
        let zero = try cursor.u8(payload, "zero after the block name")
        guard zero == 0 else {
            throw .badMagic(
                field: "zero after the block name",
                offset: cursor.streamOffset &- 1,
                expected: 0,
                found: UInt64(zero)
            )
        }
        ranges = []
        while cursor.offset < payload.count {
            ranges.append(try Range(decoding: &cursor, payload))
        }
    }

    func encode(into output: inout [UInt8]) {
        output.append(Self.version)
        output.appendName(block)
        output.append(0)
        for range in ranges {
            output.appendBigEndian(range.start)
            output.appendBigEndian(range.byteCount)
        }
    }
}

extension StreamCommand.RAMDiscard.Range {
    init(decoding cursor: inout WireCursor, _ payload: Span<UInt8>) throws(WireError) {
        let offset = cursor.streamOffset
        start = try cursor.be64(payload, "discard start")
        byteCount = try cursor.be64(payload, "discard length")
        guard !start.addingReportingOverflow(byteCount).overflow else {
            throw .invalidValue(
                field: "discard range",
                offset: offset,
                expected: "an end below 2^64",
                found: "\(hexadecimal(start)) plus \(hexadecimal(byteCount))"
            )
        }
    }
}
