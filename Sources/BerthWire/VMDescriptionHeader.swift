/// What precedes the JSON description after the end of a stream's elements.
///
/// offset 0 kind 0x06 · 1 length (4) · then so many bytes of JSON, possibly none
///
/// Format: docs/wire/device-state.md. Origin: QEMU 10.0 migration/savevm.c,
/// qemu_savevm_state_complete_precopy_non_iterable.
public struct VMDescriptionHeader: Equatable, Sendable {
    /// Bytes of the encoded form, without the JSON.
    public static let byteCount = 5

    /// Bytes of JSON that follow, at most `Limits.vmDescriptionByteCount`.
    public var textByteCount: Int

    /// The header of a description of so many bytes.
    ///
    /// - Precondition: `textByteCount` is within the limit.
    public init(textByteCount: Int) {
        precondition(
            (0...Limits.vmDescriptionByteCount).contains(textByteCount),
            "a description is within its limit"
        )
        self.textByteCount = textByteCount
    }

    /// Decodes a header from its kind byte on.
    ///
    /// - Throws: `WireError.badMagic` if no description stands here; `.limitExceeded`; `.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        let kind = try ahead.u8(bytes, "description")
        guard kind == ElementKind.vmDescription.rawValue else {
            throw .badMagic(
                field: "description",
                offset: cursor.streamOffset,
                expected: UInt64(ElementKind.vmDescription.rawValue),
                found: UInt64(kind)
            )
        }
        let byteCount = try ahead.be32(bytes, "description length")
        guard byteCount <= Limits.vmDescriptionByteCount else {
            throw .limitExceeded(
                field: "description length",
                offset: cursor.streamOffset &+ 1,
                limit: UInt64(Limits.vmDescriptionByteCount),
                found: UInt64(byteCount)
            )
        }
        textByteCount = Int(byteCount)
        cursor = ahead
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        output.append(ElementKind.vmDescription.rawValue)
        output.appendBigEndian(UInt32(truncatingIfNeeded: textByteCount))
    }
}
