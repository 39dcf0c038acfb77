/// Where a block's pages lie in a mapped-ram file; 28 bytes, directly after the block's record.
///
/// offset 0 version (4) · 4 page size (8) · 12 bitmap offset (8) · 20 pages offset (8);
/// both offsets count from the start of the file, not of the stream
///
/// Format: docs/wire/mapped-ram.md. Origin: QEMU 10.0 migration/ram.c, MappedRamHeader.
public struct MappedRAMHeader: Equatable, Sendable {
    /// Bytes of the encoded form.
    public static let byteCount = 28

    /// The version that Berth writes.
    public static let currentVersion: UInt32 = 1

    /// The alignment that writers give to pages, 1 MiB, so that direct I/O and large reads fit.
    ///
    /// A reader demands only whole target pages.
    public static let pagesAlignment: UInt64 = 1 << 20

    /// 1, or 0 from nobody known; both mean the same.
    public var version: UInt32
    /// Bytes of a target page.
    public var pageByteCount: UInt64
    /// Place in the file of the bitmap: one bit per page, least significant first, rounded up to
    /// 64-bit words.
    public var bitmapOffset: UInt64
    /// Place in the file of the block's first page.
    public var pagesOffset: UInt64

    /// Makes a header of the current version and page size.
    public init(bitmapOffset: UInt64, pagesOffset: UInt64) {
        version = Self.currentVersion
        pageByteCount = UInt64(TargetPage.byteCount)
        self.bitmapOffset = bitmapOffset
        self.pagesOffset = pagesOffset
    }

    /// Decodes a header; `validate(block:headerEnd:fileByteCount:at:)` judges the offsets.
    ///
    /// - Throws: `WireError.unsupportedVersion`; `.invalidValue` for a page size other than the
    ///   target's (real QEMU loads such a file, and loads garbage); `.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        version = try ahead.be32(bytes, "mapped-ram header version")
        guard version <= Self.currentVersion else {
            throw .unsupportedVersion(
                field: "mapped-ram header version",
                offset: cursor.streamOffset,
                supported: 0...Self.currentVersion,
                found: version
            )
        }
        let pageSizeOffset = ahead.streamOffset
        pageByteCount = try ahead.be64(bytes, "mapped-ram page size")
        guard pageByteCount == UInt64(TargetPage.byteCount) else {
            throw .invalidValue(
                field: "mapped-ram page size",
                offset: pageSizeOffset,
                expected: String(TargetPage.byteCount),
                found: String(pageByteCount)
            )
        }
        bitmapOffset = try ahead.be64(bytes, "mapped-ram bitmap offset")
        pagesOffset = try ahead.be64(bytes, "mapped-ram pages offset")
        cursor = ahead
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        output.appendBigEndian(version)
        output.appendBigEndian(pageByteCount)
        output.appendBigEndian(bitmapOffset)
        output.appendBigEndian(pagesOffset)
    }
}
