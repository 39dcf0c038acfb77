/// What follows an XBZRLE word and its name: the encoding's mark and the length of the difference.
///
/// offset 0 mark 0x01 · 1 length (2)
///
/// Format: docs/wire/sequential.md. Origin: QEMU 10.0 migration/ram.c, load_xbzrle.
public struct XBZRLEHeader: Equatable, Sendable {
    /// Bytes of the encoded form.
    public static let byteCount = 3

    /// The first byte, which tells this code from others.
    public static let mark: UInt8 = 1

    /// Bytes of the difference that follows, at most one target page.
    public var deltaByteCount: Int

    /// Decodes a header.
    ///
    /// - Throws: `WireError.unknownKind` for another mark; `.limitExceeded` for a difference that
    ///   is longer than a page; `.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        let mark = try ahead.u8(bytes, "XBZRLE mark")
        guard mark == Self.mark else {
            throw .unknownKind(
                field: "XBZRLE mark",
                offset: cursor.streamOffset,
                found: hexadecimal(mark)
            )
        }
        deltaByteCount = Int(try ahead.be16(bytes, "XBZRLE length"))
        guard deltaByteCount <= TargetPage.byteCount else {
            throw .limitExceeded(
                field: "XBZRLE length",
                offset: cursor.streamOffset &+ 1,
                limit: UInt64(TargetPage.byteCount),
                found: UInt64(deltaByteCount)
            )
        }
        cursor = ahead
    }

    /// Makes a header for a difference of at most one target page.
    public init(deltaByteCount: Int) {
        precondition(
            (0...TargetPage.byteCount).contains(deltaByteCount),
            "a difference is no longer than a page"
        )
        self.deltaByteCount = deltaByteCount
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        output.append(Self.mark)
        output.appendBigEndian(UInt16(deltaByteCount))
    }
}
