/// What stands before the pages of one multifd packet.
///
/// offset 0 magic (4) · 4 version (4) · 8 flags (4) · 12 room for pages (4) · 16 pages with content
/// (4) · 20 bytes of payload (4) · 24 packet number (8) · 32 zero pages (4) · 36 reserved, zero (28)
/// · 64 block name, padded with NUL (256) · 320 offsets of pages (8 each, always 128)
///
/// It always has its full size. The offsets stay in the buffer that it is encoded into or decoded
/// from, and are stored and loaded one by one: those of pages with content come first, in the order
/// of the payload, then those of zero pages.
///
/// Format: docs/wire/multifd.md. Origin: QEMU 10.0 migration/multifd.h, MultiFDPacket_t.
public struct MultifdPacketHeader: Equatable, Sendable {
    /// Most pages of one packet: 512 KiB of them.
    public static let pageLimit = 128
    /// Bytes of the encoded form, offsets included.
    public static let byteCount = offsetsOffset + 8 * pageLimit
    /// Bytes from which it can be told what a packet is: magic, version and flags.
    public static let prefixByteCount = 12
    /// Most bytes of payload, QEMU's own buffer: twice the pages.
    public static let payloadByteLimit = 1 << 20

    static let nameOffset = 64
    static let nameByteCount = 256
    static let offsetsOffset = nameOffset + nameByteCount

    /// What the packet is, and how its payload is compressed.
    public var flags: MultifdFlags
    /// Pages for which the sender made room; 128, or 0 in a packet that only marks a sync point.
    public var pagesAllocated: Int
    /// Pages with content.
    public var normalCount: Int
    /// Pages that are all zero.
    public var zeroCount: Int
    /// Bytes that follow the header.
    public var payloadByteCount: Int
    /// Number of the packet, counted over all channels; informative.
    public var packetNumber: UInt64
    /// Name of the block whose pages these are; empty if there are none.
    public var blockName: String

    /// Makes a header.
    public init(
        flags: MultifdFlags,
        pagesAllocated: Int = 0,
        normalCount: Int = 0,
        zeroCount: Int = 0,
        payloadByteCount: Int = 0,
        packetNumber: UInt64 = 0,
        blockName: String = ""
    ) {
        self.flags = flags
        self.pagesAllocated = pagesAllocated
        self.normalCount = normalCount
        self.zeroCount = zeroCount
        self.payloadByteCount = payloadByteCount
        self.packetNumber = packetNumber
        self.blockName = blockName
    }

    /// Stores everything but the offsets, which keep their bytes.
    ///
    /// - Precondition: `bytes` has room for `byteCount`, and the name has at most 255 bytes.
    public func encode(into bytes: inout MutableRawSpan) {
        bytes.storeBytes(of: MultifdInitialPacket.magic.bigEndian, as: UInt32.self)
        bytes.storeBigEndian(MultifdInitialPacket.version, at: 4)
        bytes.storeBigEndian(flags.rawValue, at: 8)
        bytes.storeBigEndian(UInt32(pagesAllocated), at: 12)
        bytes.storeBigEndian(UInt32(normalCount), at: 16)
        bytes.storeBigEndian(UInt32(payloadByteCount), at: 20)
        bytes.storeBigEndian(packetNumber, at: 24)
        bytes.storeBigEndian(UInt32(zeroCount), at: 32)
        for offset in stride(from: 36, to: Self.nameOffset, by: 4) {
            bytes.storeBigEndian(UInt32(0), at: offset)
        }
        precondition(blockName.utf8.count < Self.nameByteCount, "a block's name is short")
        for offset in stride(from: Self.nameOffset, to: Self.offsetsOffset, by: 8) {
            bytes.storeBigEndian(UInt64(0), at: offset)
        }
        for (index, byte) in blockName.utf8.enumerated() {
            bytes.storeBytes(of: byte, toByteOffset: Self.nameOffset + index, as: UInt8.self)
        }
    }

    /// Stores the offset of one page.
    ///
    /// - Precondition: `index` is below `pageLimit`, and `bytes` has room for `byteCount`.
    @inline(__always)
    public static func setOffset(
        _ offset: UInt64,
        at index: Int,
        in bytes: inout MutableRawSpan
    ) {
        bytes.storeBigEndian(offset, at: offsetsOffset + 8 * index)
    }

    /// Loads the offset of one page from a header that was decoded.
    ///
    /// - Parameter bytes: begins with the header.
    /// - Precondition: `index` is below `pageLimit`, and `bytes` holds all of the header.
    @inline(__always)
    public static func offset(at index: Int, in bytes: Span<UInt8>) -> UInt64 {
        let value = unsafe bytes.bytes.unsafeLoadUnaligned(
            fromByteOffset: offsetsOffset + 8 * index,
            as: UInt64.self
        )
        return UInt64(bigEndian: value)
    }
}

extension MutableRawSpan {
    @inline(__always)
    fileprivate mutating func storeBigEndian(
        _ value: some FixedWidthInteger & BitwiseCopyable,
        at offset: Int
    ) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: type(of: value))
    }
}
