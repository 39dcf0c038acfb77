/// One piece of a `dirty-bitmap` section's body.
///
/// Berth has no disks and loads no bitmaps; it walks the pieces to find where the body ends.
///
/// offset 0 flags · [node name] · [bitmap name] · then by flag: start: granularity (4), bitmap
/// flags (1) · bits: first sector (8), sector count (4), unless zeroes: data length (8), data
///
/// Format: docs/wire/sequential.md. Origin: QEMU 10.0 migration/block-dirty-bitmap.c.
public struct DirtyBitmapChunk: Equatable, Sendable {
    /// The first byte of a piece.
    public struct Flags: OptionSet, Hashable, Sendable {
        /// The bits.
        public let rawValue: UInt8

        /// Makes flags from their bits.
        public init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// The section's body ends.
        public static let endOfSection = Flags(rawValue: 0x01)
        /// With `bits`: the range is clean, no data follows.
        public static let zeroes = Flags(rawValue: 0x02)
        /// A bitmap's name follows.
        public static let bitmapName = Flags(rawValue: 0x04)
        /// A node's name follows.
        public static let nodeName = Flags(rawValue: 0x08)
        /// The named bitmap begins.
        public static let start = Flags(rawValue: 0x10)
        /// The named bitmap is complete.
        public static let complete = Flags(rawValue: 0x20)
        /// A range of the named bitmap.
        public static let bits = Flags(rawValue: 0x40)
    }

    /// What the piece holds.
    public var flags: Flags
    /// Alias of the block node, if it differs from the piece before.
    public var nodeName: String?
    /// Alias of the bitmap, if it differs from the piece before.
    public var bitmapName: String?
    /// Bytes of the whole piece, flags and data included.
    public var byteCount: Int

    /// Decodes a piece; its data must be in the span and is passed over.
    ///
    /// - Throws: `WireError.unknownKind` for a combination of flags that no source sends;
    ///   `.limitExceeded` for data above `Limits.dirtyBitmapBufferByteCount`; `.invalidValue` for a
    ///   bad name; `.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        flags = Flags(rawValue: try ahead.u8(bytes, "dirty-bitmap flags"))
        guard Self.actions.contains(flags.subtracting([.nodeName, .bitmapName])) else {
            throw .unknownKind(
                field: "dirty-bitmap flags",
                offset: cursor.streamOffset,
                found: hexadecimal(flags.rawValue)
            )
        }
        if flags.contains(.nodeName) {
            nodeName = try ahead.cstr(bytes, "dirty-bitmap node")
        }
        if flags.contains(.bitmapName) {
            bitmapName = try ahead.cstr(bytes, "dirty-bitmap name")
        }
        if flags.contains(.start) {
            try ahead.skip(5, bytes, "dirty-bitmap start")
        }
        if flags.contains(.bits) {
            try ahead.skip(12, bytes, "dirty-bitmap range")
        }
        if flags.contains(.bits), !flags.contains(.zeroes) {
            let offset = ahead.streamOffset
            let dataByteCount = try ahead.be64(bytes, "dirty-bitmap data length")
            guard dataByteCount <= Limits.dirtyBitmapBufferByteCount else {
                throw .limitExceeded(
                    field: "dirty-bitmap data length",
                    offset: offset,
                    limit: Limits.dirtyBitmapBufferByteCount,
                    found: dataByteCount
                )
            }
            try ahead.skip(Int(dataByteCount), bytes, "dirty-bitmap data")
        }
        byteCount = ahead.offset - cursor.offset
        cursor = ahead
    }

    private static let actions: Set<Flags> = [
        .start, .complete, .bits, [.bits, .zeroes], .endOfSection,
    ]

    /// Walks pieces until the one that ends the body.
    ///
    /// The cursor advances over every whole piece even if the next one is incomplete, so that a
    /// caller can drop what is walked, read more and call again.
    ///
    /// - Throws: as `init(decoding:_:)`.
    public static func walkBody(
        _ cursor: inout WireCursor,
        _ bytes: Span<UInt8>
    ) throws(WireError) {
        while true {
            let chunk = try DirtyBitmapChunk(decoding: &cursor, bytes)
            if chunk.flags.contains(.endOfSection) {
                return
            }
        }
    }
}
