/// What precedes the body of a section.
///
/// offset 0 element kind · 1 section id · then, in `start` and `full` only: the name (length byte
/// and bytes), instance (4), version (4)
///
/// Format: docs/wire/sequential.md. Origin: QEMU 10.0 migration/savevm.c, save_section_header.
public struct SectionHeader: Equatable, Sendable {
    /// Whose state the section holds.
    public struct Identity: Hashable, Sendable {
        /// The handler's name (idstr), 1 to 255 printable bytes, as `ram` or `0000:00:02.0/vga`.
        public var name: String
        /// Index among handlers of one name.
        public var instance: UInt32
        /// Version of the body's format.
        public var version: UInt32

        /// Makes an identity.
        public init(name: String, instance: UInt32, version: UInt32) {
            self.name = name
            self.instance = instance
            self.version = version
        }
    }

    /// `.start`, `.part`, `.end` or `.full`.
    public var kind: ElementKind
    /// Handle of the section within this stream, chosen by the source.
    public var id: UInt32
    /// Present if and only if `kind` is `.start` or `.full`.
    public var identity: Identity?

    /// The header of a section's first or only part.
    public init(full: Bool, id: UInt32, identity: Identity) {
        kind = full ? .full : .start
        self.id = id
        self.identity = identity
    }

    /// The header of a later part.
    public init(partOf id: UInt32, isLast: Bool) {
        kind = isLast ? .end : .part
        self.id = id
        identity = nil
    }

    /// Decodes a header from its kind byte on.
    ///
    /// - Throws: `WireError.unknownKind` if no section begins here; `.invalidValue` for a bad name;
    ///   `.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        let byte = try ahead.u8(bytes, "section type")
        guard let kind = ElementKind(rawValue: byte), (1...4).contains(byte) else {
            throw .unknownKind(
                field: "section type",
                offset: cursor.streamOffset,
                found: hexadecimal(byte)
            )
        }
        self.kind = kind
        id = try ahead.be32(bytes, "section id")
        if kind == .start || kind == .full {
            let name = try ahead.cstr(bytes, "section name")
            let instance = try ahead.be32(bytes, "section instance")
            let version = try ahead.be32(bytes, "section version")
            identity = Identity(name: name, instance: instance, version: version)
        } else {
            identity = nil
        }
        cursor = ahead
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        output.append(kind.rawValue)
        output.appendBigEndian(id)
        if let identity {
            output.appendName(identity.name)
            output.appendBigEndian(identity.instance)
            output.appendBigEndian(identity.version)
        }
    }
}

/// What follows the body of a section, unless the source was told to leave footers out.
///
/// offset 0 kind 0x7e · 1 section id
///
/// Format: docs/wire/sequential.md. Origin: QEMU 10.0 migration/savevm.c, save_section_footer.
public struct SectionFooter: Equatable, Sendable {
    /// Bytes of the encoded form.
    public static let byteCount = 5

    /// The id in the section's header.
    public var id: UInt32

    /// The footer of section `id`.
    public init(id: UInt32) {
        self.id = id
    }

    /// Decodes a footer from its kind byte on.
    ///
    /// - Throws: `WireError.badMagic` if something else stands here, which most often means that
    ///   the body before it was longer than believed or that the source sends no footers;
    ///   `.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        let byte = try ahead.u8(bytes, "section footer")
        guard byte == ElementKind.footer.rawValue else {
            throw .badMagic(
                field: "section footer",
                offset: cursor.streamOffset,
                expected: UInt64(ElementKind.footer.rawValue),
                found: UInt64(byte)
            )
        }
        id = try ahead.be32(bytes, "section footer id")
        cursor = ahead
    }

    /// Decodes a footer that must belong to section `id`.
    ///
    /// - Throws: as `init(decoding:_:)`, and `WireError.badMagic` for another section's id.
    public init(
        decoding cursor: inout WireCursor,
        _ bytes: Span<UInt8>,
        of id: UInt32
    ) throws(WireError) {
        var ahead = cursor
        let footer = try SectionFooter(decoding: &ahead, bytes)
        guard footer.id == id else {
            throw .badMagic(
                field: "section footer id",
                offset: cursor.streamOffset &+ 1,
                expected: UInt64(id),
                found: UInt64(footer.id)
            )
        }
        self = footer
        cursor = ahead
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        output.append(ElementKind.footer.rawValue)
        output.appendBigEndian(id)
    }
}
