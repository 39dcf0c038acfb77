/// The first bytes of a multifd channel, which say whose it is and which one.
///
/// offset 0 magic 0x11223344 (4) · 4 version 1 (4) · 8 UUID of the guest (16) · 24 channel's id (1)
/// · 25 reserved, zero (39)
///
/// Format: docs/wire/multifd.md. Origin: QEMU 10.0 migration/multifd.c, MultiFDInit_t.
public struct MultifdInitialPacket: Equatable, Sendable {
    /// Marks the first bytes of a channel and of each packet on it.
    public static let magic: UInt32 = 0x1122_3344
    /// The only version that there is.
    public static let version: UInt32 = 1
    /// Bytes of the encoded form.
    public static let byteCount = 64

    /// UUID of the guest that is sent; `GuestUUID.zero` if it was given none.
    public var uuid: GuestUUID
    /// Number of the channel, counted from 0.
    public var channelID: UInt8

    /// Makes a packet.
    public init(uuid: GuestUUID, channelID: UInt8) {
        self.uuid = uuid
        self.channelID = channelID
    }

    /// Decodes a packet; what is reserved isn't looked at.
    ///
    /// Whether UUID and number are the right ones is the caller's question.
    ///
    /// - Throws: `WireError.badMagic`; `.unsupportedVersion`; `.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        try ahead.multifdMagic(bytes)
        try ahead.require(Self.byteCount - 8, bytes, "multifd initial packet")
        uuid = try GuestUUID(decoding: &ahead, bytes)
        channelID = try ahead.u8(bytes, "multifd channel id")
        cursor.offset += Self.byteCount
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        let end = output.count + Self.byteCount
        output.appendBigEndian(Self.magic)
        output.appendBigEndian(Self.version)
        uuid.encode(into: &output)
        output.append(channelID)
        output.appendZeros(end - output.count)
    }
}

extension WireCursor {
    /// Reads magic and version, with which the initial packet and every other packet begins.
    mutating func multifdMagic(_ bytes: Span<UInt8>) throws(WireError) {
        let offset = streamOffset
        let magic = try be32(bytes, "multifd magic")
        guard magic == MultifdInitialPacket.magic else {
            throw .badMagic(
                field: "multifd magic",
                offset: offset,
                expected: UInt64(MultifdInitialPacket.magic),
                found: UInt64(magic)
            )
        }
        let version = try be32(bytes, "multifd version")
        guard version == MultifdInitialPacket.version else {
            throw .unsupportedVersion(
                field: "multifd version",
                offset: offset &+ 4,
                supported: MultifdInitialPacket.version...MultifdInitialPacket.version,
                found: version
            )
        }
    }
}
