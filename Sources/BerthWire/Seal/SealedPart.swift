/// A digest of something in an image that isn't a page of RAM.
///
/// offset 0 kind (1) · 1 name (length byte and bytes) · instance (4) · length (8) · digest, 4 or 32
/// bytes
///
/// Format: docs/wire/seal.md.
public struct SealedPart: Equatable, Sendable {
    /// What was summed up.
    public enum Kind: UInt8, Sendable {
        /// The configuration section, from its first byte on.
        case configuration = 1
        /// A section of device state: its header and body, without the footer.
        case section = 2
        /// The text of the JSON description.
        case description = 3
        /// Where a mapped-ram image has a block's pages: their place (8), then the bitmap.
        case map = 4
    }

    /// What was summed up.
    public var kind: Kind
    /// Name of the section or block; the kind's own name for the others.
    public var name: String
    /// Instance of the section; 0 for the others.
    public var instance: UInt32
    /// Bytes that were summed up.
    public var byteCount: UInt64
    /// Their digest.
    public var digest: [UInt8]

    /// Makes a part.
    public init(kind: Kind, name: String, instance: UInt32, byteCount: UInt64, digest: [UInt8]) {
        self.kind = kind
        self.name = name
        self.instance = instance
        self.byteCount = byteCount
        self.digest = digest
    }

    var encodedByteCount: Int { 14 + name.utf8.count + digest.count }

    /// Decodes a part.
    ///
    /// - Parameter digestByteCount: bytes of a digest of the seal's algorithm.
    /// - Throws: `WireError.unknownKind`; `.invalidValue` for a bad name; `.truncated`.
    init(
        decoding cursor: inout WireCursor,
        _ bytes: Span<UInt8>,
        _ digestByteCount: Int
    ) throws(WireError) {
        var ahead = cursor
        let number = try ahead.u8(bytes, "kind of a sealed part")
        guard let kind = Kind(rawValue: number) else {
            throw .unknownKind(
                field: "kind of a sealed part",
                offset: cursor.streamOffset,
                found: "\(number)"
            )
        }
        self.kind = kind
        name = try ahead.cstr(bytes, "name of a sealed part")
        instance = try ahead.be32(bytes, "instance of a sealed part")
        byteCount = try ahead.be64(bytes, "length of a sealed part")
        digest = try ahead.bytes(digestByteCount, bytes, "digest of a sealed part")
        cursor = ahead
    }

    func encode(into output: inout [UInt8]) {
        output.append(kind.rawValue)
        output.appendName(name)
        output.appendBigEndian(instance)
        output.appendBigEndian(byteCount)
        output.append(contentsOf: digest)
    }
}
