/// A place in a span of stream bytes, from which fields are read one after another.
///
/// The cursor holds only the place, not the bytes; each call gets the span. So it is an ordinary
/// value: a decoder copies it, reads ahead, and gives the copy back only when everything was there.
/// Every read is checked against the span; none traps, whatever the bytes are.
///
/// All decoders of this module follow one rule: if they throw, the cursor stays where it was.
public struct WireCursor: Sendable, Equatable {
    /// Index in the span of the next byte to read; it may lie beyond the span's end, in which case
    /// every read reports `WireError.truncated`.
    public var offset: Int

    /// Offset in the whole stream of the span's first byte; used for messages only.
    public let base: UInt64

    /// Makes a cursor.
    ///
    /// - Parameters:
    ///   - offset: index in the span of the first byte to read, not negative.
    ///   - base: offset in the whole stream of the span's first byte.
    @inlinable
    public init(offset: Int = 0, base: UInt64 = 0) {
        precondition(offset >= 0, "a cursor cannot start before its span")
        self.offset = offset
        self.base = base
    }

    /// Offset in the whole stream of the next byte to read.
    @inlinable
    public var streamOffset: UInt64 {
        base &+ UInt64(truncatingIfNeeded: offset)
    }

    /// Checks that the next `byteCount` bytes are in the span.
    ///
    /// - Throws: `WireError.truncated` with the number of bytes that the span must have.
    @inlinable
    public func require(
        _ byteCount: Int,
        _ bytes: Span<UInt8>,
        _ field: StaticString
    ) throws(WireError) {
        guard byteCount <= bytes.count &- offset else {
            throw missing(byteCount, field)
        }
    }

    @usableFromInline
    func missing(_ byteCount: Int, _ field: StaticString) -> WireError {
        let (needed, overflow) = offset.addingReportingOverflow(byteCount)
        return .truncated(
            field: field.description,
            offset: streamOffset,
            needed: overflow ? Int.max : needed
        )
    }
}

extension WireCursor {
    /// Reads one byte.
    ///
    /// - Throws: `WireError.truncated`.
    @inlinable
    public mutating func u8(
        _ bytes: Span<UInt8>,
        _ field: StaticString
    ) throws(WireError) -> UInt8 {
        try require(1, bytes, field)
        defer { offset &+= 1 }
        return bytes[offset]
    }

    /// Reads a big-endian 16-bit integer.
    ///
    /// - Throws: `WireError.truncated`.
    @inlinable
    public mutating func be16(
        _ bytes: Span<UInt8>,
        _ field: StaticString
    ) throws(WireError) -> UInt16 {
        try bigEndian(bytes, field)
    }

    /// Reads a big-endian 32-bit integer.
    ///
    /// - Throws: `WireError.truncated`.
    @inlinable
    public mutating func be32(
        _ bytes: Span<UInt8>,
        _ field: StaticString
    ) throws(WireError) -> UInt32 {
        try bigEndian(bytes, field)
    }

    /// Reads a big-endian 64-bit integer.
    ///
    /// - Throws: `WireError.truncated`.
    @inlinable
    public mutating func be64(
        _ bytes: Span<UInt8>,
        _ field: StaticString
    ) throws(WireError) -> UInt64 {
        try bigEndian(bytes, field)
    }

    @inlinable
    mutating func bigEndian<Value: FixedWidthInteger & UnsignedInteger>(
        _ bytes: Span<UInt8>,
        _ field: StaticString
    ) throws(WireError) -> Value {
        let byteCount = Value.bitWidth / 8
        try require(byteCount, bytes, field)
        var value: Value = 0
        for index in offset..<(offset &+ byteCount) {
            value = value << 8 | Value(truncatingIfNeeded: bytes[index])
        }
        offset &+= byteCount
        return value
    }

    /// Copies the next `byteCount` bytes.
    ///
    /// The caller checks `byteCount` against its limit first; nothing is allocated for bytes that
    /// are not in the span.
    ///
    /// - Throws: `WireError.truncated`.
    public mutating func bytes(
        _ byteCount: Int,
        _ bytes: Span<UInt8>,
        _ field: StaticString
    ) throws(WireError) -> [UInt8] {
        try require(byteCount, bytes, field)
        var copy: [UInt8] = []
        copy.reserveCapacity(byteCount)
        for index in offset..<(offset &+ byteCount) {
            copy.append(bytes[index])
        }
        offset &+= byteCount
        return copy
    }

    /// Passes over the next `byteCount` bytes.
    ///
    /// - Throws: `WireError.truncated`.
    public mutating func skip(
        _ byteCount: Int,
        _ bytes: Span<UInt8>,
        _ field: StaticString
    ) throws(WireError) {
        try require(byteCount, bytes, field)
        offset &+= byteCount
    }

    /// Reads a name: one length byte (1 to 255), then that many bytes of printable ASCII.
    ///
    /// - Throws: `WireError.truncated`; `WireError.invalidValue` if the name is empty or holds a
    ///   byte outside of 0x20 to 0x7e (names reach messages and files, so nothing else passes).
    public mutating func cstr(
        _ bytes: Span<UInt8>,
        _ field: StaticString
    ) throws(WireError) -> String {
        var ahead = self
        let byteCount = Int(try ahead.u8(bytes, field))
        guard byteCount > 0 else {
            throw .invalidValue(
                field: field.description,
                offset: streamOffset,
                expected: "a name of 1 to 255 bytes",
                found: "an empty one"
            )
        }
        let name = try ahead.printable(byteCount, bytes, field)
        self = ahead
        return name
    }

    /// Reads `byteCount` bytes of printable ASCII as a string.
    ///
    /// - Throws: `WireError.truncated`; `WireError.invalidValue` for any other byte.
    mutating func printable(
        _ byteCount: Int,
        _ bytes: Span<UInt8>,
        _ field: StaticString
    ) throws(WireError) -> String {
        try require(byteCount, bytes, field)
        for index in offset..<(offset &+ byteCount) where !Limits.isPrintable(bytes[index]) {
            throw .invalidValue(
                field: field.description,
                offset: base &+ UInt64(truncatingIfNeeded: index),
                expected: "printable ASCII",
                found: hexadecimal(bytes[index])
            )
        }
        let text = bytes.extracting(offset..<(offset &+ byteCount))
        offset &+= byteCount
        // Printable ASCII is valid UTF-8. Up to 15 bytes of it need no memory.
        return String(copying: unsafe UTF8Span(unchecked: text, isKnownASCII: true))
    }
}
