/// The last bytes of a sealed file, by which the seal is found.
///
/// offset 0 magic `BERTHEND` (8) · 8 place of the seal in the file (8) · 16 length of the seal from
/// there to the file's end (8) · 24 version (4) · 28 CRC32C of the 28 bytes before (4)
///
/// Written last: a file with a footer has the whole seal.
///
/// Format: docs/wire/seal.md.
public struct SealFooter: Equatable, Sendable {
    /// Bytes of the encoded form.
    public static let byteCount = 32

    /// "BERTHEND".
    public static let magic: UInt64 = 0x4245_5254_4845_4e44

    /// Place of the seal's header in the file, in bytes.
    public var offset: UInt64
    /// Bytes of the seal, this footer included.
    public var byteCount: UInt64

    /// Makes a footer.
    public init(offset: UInt64, byteCount: UInt64) {
        self.offset = offset
        self.byteCount = byteCount
    }

    /// Decodes a footer.
    ///
    /// - Parameter fileByteCount: bytes of the file, with which the footer's claims must agree.
    /// - Throws: `WireError.badMagic` if there is none, or it is damaged; `.unsupportedVersion`;
    ///   `.invalidValue` for a seal that doesn't end with the file; `.truncated`.
    public init(
        decoding cursor: inout WireCursor,
        _ bytes: Span<UInt8>,
        fileByteCount: UInt64
    ) throws(WireError) {
        var ahead = cursor
        let magic = try ahead.be64(bytes, "seal's end mark")
        guard magic == Self.magic else {
            throw .badMagic(
                field: "seal's end mark",
                offset: cursor.streamOffset,
                expected: Self.magic,
                found: magic
            )
        }
        offset = try ahead.be64(bytes, "seal's place")
        byteCount = try ahead.be64(bytes, "seal's length")
        let version = try ahead.be32(bytes, "seal's version")
        let sum = try ahead.be32(bytes, "checksum of the seal's end")
        var copy: [UInt8] = []
        Self.encode(magic, offset, byteCount, version, into: &copy)
        let expected = CRC32C.checksum(copy)
        guard sum == expected else {
            throw .badMagic(
                field: "checksum of the seal's end",
                offset: ahead.streamOffset &- 4,
                expected: UInt64(expected),
                found: UInt64(sum)
            )
        }
        guard version == SealHeader.version else {
            throw .unsupportedVersion(
                field: "seal's version",
                offset: ahead.streamOffset &- 8,
                supported: SealHeader.version...SealHeader.version,
                found: version
            )
        }
        let end = offset.addingReportingOverflow(byteCount)
        guard !end.overflow, end.partialValue == fileByteCount,
            offset % SealHeader.alignment == 0,
            byteCount >= UInt64(SealHeader.fixedByteCount + 4 + Self.byteCount)
        else {
            throw .invalidValue(
                field: "seal's place",
                offset: cursor.streamOffset &+ 8,
                expected: "one that ends with the file, at \(hexadecimal(fileByteCount))",
                found: "\(hexadecimal(offset)), \(byteCount) bytes long"
            )
        }
        cursor = ahead
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        var bytes: [UInt8] = []
        Self.encode(Self.magic, offset, byteCount, SealHeader.version, into: &bytes)
        bytes.appendBigEndian(CRC32C.checksum(bytes))
        output.append(contentsOf: bytes)
    }

    private static func encode(
        _ magic: UInt64,
        _ offset: UInt64,
        _ byteCount: UInt64,
        _ version: UInt32,
        into output: inout [UInt8]
    ) {
        output.appendBigEndian(magic)
        output.appendBigEndian(offset)
        output.appendBigEndian(byteCount)
        output.appendBigEndian(version)
    }
}
