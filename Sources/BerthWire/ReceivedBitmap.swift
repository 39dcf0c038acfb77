/// Which pages of a block the destination has; follows `ReturnPathMessage.receivedBitmap`.
///
/// offset 0 bitmap length (8) · 8 bitmap, one bit per page, least significant first, rounded up to
/// 8 bytes · then end mark 0x0123456789abcdef (8)
///
/// Format: docs/wire/return-path.md. Origin: QEMU 10.0 migration/ram.c, ramblock_recv_bitmap_send.
public struct ReceivedBitmap: Equatable, Sendable {
    private static let endMark: UInt64 = 0x0123_4567_89ab_cdef

    /// The bitmap, in which a set bit is a page that arrived.
    ///
    /// Bit *i* is byte *i* / 8, bit *i* % 8.
    public var bits: [UInt8]

    /// Makes a bitmap of the size that `bitmapByteCount(pageCount:)` gives.
    public init(bits: [UInt8]) {
        self.bits = bits
    }

    /// Bytes of the bitmap for a block.
    ///
    /// - Parameter pageCount: target pages of the block, at most those of `Limits.ramByteCount`.
    public static func bitmapByteCount(pageCount: UInt64) -> UInt64 {
        (pageCount / 64 + (pageCount % 64 == 0 ? 0 : 1)) * 8
    }

    /// Decodes the bitmap of a block that this side knows.
    ///
    /// - Parameter pageCount: target pages of the block; the length must fit it exactly.
    /// - Throws: `WireError.invalidValue` for another length; `.badMagic` for another end mark;
    ///   `.truncated`.
    public init(
        decoding cursor: inout WireCursor,
        _ bytes: Span<UInt8>,
        pageCount: UInt64
    ) throws(WireError) {
        var ahead = cursor
        let expected = Self.bitmapByteCount(pageCount: pageCount)
        let found = try ahead.be64(bytes, "received bitmap length")
        guard found == expected, let byteCount = Int(exactly: found) else {
            throw .invalidValue(
                field: "received bitmap length",
                offset: cursor.streamOffset,
                expected: String(expected),
                found: String(found)
            )
        }
        bits = try ahead.bytes(byteCount, bytes, "received bitmap")
        let markOffset = ahead.streamOffset
        let mark = try ahead.be64(bytes, "received bitmap end mark")
        guard mark == Self.endMark else {
            throw .badMagic(
                field: "received bitmap end mark",
                offset: markOffset,
                expected: Self.endMark,
                found: mark
            )
        }
        cursor = ahead
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        output.appendBigEndian(UInt64(bits.count))
        output.append(contentsOf: bits)
        output.appendBigEndian(Self.endMark)
    }
}
