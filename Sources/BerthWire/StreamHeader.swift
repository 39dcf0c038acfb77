/// The first 8 bytes of a stream: what it is, and in which version.
///
/// offset 0 magic 0x5145564d ("QEVM") · 4 version
///
/// Format: docs/wire/sequential.md. Origin: QEMU 10.0 migration/savevm.c, qemu_savevm_state_header.
public struct StreamHeader: Equatable, Sendable {
    /// Bytes of the encoded form.
    public static let byteCount = 8

    /// "QEVM" in ASCII.
    public static let magic: UInt32 = 0x5145_564d

    /// The only version that QEMU has sent since 2009.
    public static let currentVersion: UInt32 = 3

    /// The header that Berth writes.
    public init() {}

    /// Decodes and checks a header.
    ///
    /// - Throws: `WireError.badMagic` if this is no stream; `.unsupportedVersion`; `.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        let magic = try ahead.be32(bytes, "stream magic")
        guard magic == Self.magic else {
            throw .badMagic(
                field: "stream magic",
                offset: cursor.streamOffset,
                expected: UInt64(Self.magic),
                found: UInt64(magic)
            )
        }
        let versionOffset = ahead.streamOffset
        let version = try ahead.be32(bytes, "stream version")
        guard version == Self.currentVersion else {
            throw .unsupportedVersion(
                field: "stream version",
                offset: versionOffset,
                supported: Self.currentVersion...Self.currentVersion,
                found: version
            )
        }
        cursor = ahead
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        output.appendBigEndian(Self.magic)
        output.appendBigEndian(Self.currentVersion)
    }
}
