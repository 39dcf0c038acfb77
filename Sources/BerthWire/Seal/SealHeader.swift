/// What a seal says about the image before it; the tables of page digests follow.
///
/// offset 0 magic `BERTHSEA` (8) · 8 version (4) · 12 algorithm (4) · 16 page size (4) · 20 length of
/// this header (4) · 24 place of the stream's first byte (8) · 32 place behind its last (8) · 40 length
/// of the seal to the file's end (8) · 48 number of blocks (4) · 52 number of parts (4) · 56 blocks,
/// then parts · then CRC32C of all that (4)
///
/// a block: name (length byte and bytes), length (8), place of its table from the header's first
/// byte on (8) · a part: see `SealedPart`
///
/// Places are offsets in the file.
///
/// Format: docs/wire/seal.md.
public struct SealHeader: Equatable, Sendable {
    /// "BERTHSEA".
    public static let magic: UInt64 = 0x4245_5254_4853_4541

    /// The only version.
    public static let version: UInt32 = 1

    /// The seal and each table begin at a multiple of this, so that tables can have holes.
    public static let alignment: UInt64 = 4096

    /// Bytes before the blocks.
    public static let fixedByteCount = 56

    /// Parts in one seal: a large guest has some hundreds of device sections.
    public static let partCountLimit = 65_536

    /// Bytes of a header, 24 MiB: as many blocks and parts as there may be, with the longest names.
    public static let byteCountLimit = 24 << 20

    /// How the content is summed up.
    public var algorithm: IntegrityAlgorithm
    /// Place of the stream's first byte.
    public var streamStart: UInt64
    /// Place behind the stream's last byte.
    public var streamEnd: UInt64
    /// Bytes of the seal, from this header to the end of the file.
    public var byteCount: UInt64
    /// The RAM blocks, in the stream's order.
    public var blocks: [SealedBlock]
    /// What isn't RAM.
    public var parts: [SealedPart]

    /// Makes the header of a seal, with a table for each block behind it and the footer at the end.
    ///
    /// - Parameter blocks: names and lengths, in the stream's order.
    /// - Precondition: there are at most `partCountLimit` parts and `Limits.ramBlockCount` blocks, of
    ///   `Limits.ramByteCount` together, and their names are names.
    public init(
        algorithm: IntegrityAlgorithm,
        stream: Range<UInt64>,
        blocks: [(name: String, byteCount: UInt64)],
        parts: [SealedPart]
    ) {
        self.algorithm = algorithm
        streamStart = stream.lowerBound
        streamEnd = stream.upperBound
        byteCount = 0
        self.parts = parts
        self.blocks = blocks.map { SealedBlock(name: $0.name, byteCount: $0.byteCount) }
        var next = Self.roundedUp(UInt64(encodedByteCount))
        for index in self.blocks.indices {
            self.blocks[index].tableOffset = next
            next += Self.roundedUp(self.blocks[index].tableByteCount(algorithm))
        }
        byteCount = next + UInt64(SealFooter.byteCount)
    }

    /// Where the seal of a stream that ends at `streamEnd` begins.
    public static func offset(forStreamEnd streamEnd: UInt64) -> UInt64 {
        roundedUp(streamEnd)
    }

    /// Place of the seal, in bytes from the file's start.
    public var offset: UInt64 { Self.offset(forStreamEnd: streamEnd) }

    private static func roundedUp(_ value: UInt64) -> UInt64 {
        (value + alignment - 1) / alignment * alignment
    }

    private var encodedByteCount: Int {
        let blockBytes = blocks.reduce(0) { $0 + 17 + $1.name.utf8.count }
        let partBytes = parts.reduce(0) { $0 + $1.encodedByteCount }
        return Self.fixedByteCount + blockBytes + partBytes + 4
    }
}

/// A RAM block whose pages have digests.
public struct SealedBlock: Equatable, Sendable {
    /// Name of the block.
    public var name: String
    /// Bytes of the block, whole target pages.
    public var byteCount: UInt64
    /// Place of the block's table, in bytes from the seal's first byte.
    ///
    /// An entry of the table is a page's digest combined (exclusive or) with that of a page of
    /// zeros, so that zero pages are zeros in the table and most of it a hole.
    public var tableOffset: UInt64 = 0

    /// Makes a block without a table.
    public init(name: String, byteCount: UInt64) {
        self.name = name
        self.byteCount = byteCount
    }

    /// Pages in the block.
    public var pageCount: Int { Int(byteCount) / TargetPage.byteCount }

    /// Bytes of the block's table.
    public func tableByteCount(_ algorithm: IntegrityAlgorithm) -> UInt64 {
        byteCount / UInt64(TargetPage.byteCount) * UInt64(algorithm.digestByteCount)
    }
}

extension SealHeader {
    /// Decodes a whole header.
    ///
    /// - Parameters:
    ///   - bytes: the header and nothing else, so many as `byteCount(peeking:)` says.
    ///   - offset: the header's place in the file, from the footer.
    ///   - sealByteCount: length of the seal, from the footer.
    /// - Throws: `WireError`; every place was checked to be within the seal.
    public init(
        decoding bytes: Span<UInt8>,
        at offset: UInt64,
        sealByteCount: UInt64
    ) throws(WireError) {
        let announced = try Self.byteCount(peeking: WireCursor(base: offset), bytes)
        try Self.demand(announced == bytes.count, offset &+ 20, "seal's header length") {
            ("\(bytes.count)", "\(announced)")
        }
        let body = announced - 4
        var tail = WireCursor(offset: body, base: offset)
        let sum = try tail.be32(bytes, "checksum of the seal's header")
        let expected = unsafe bytes.extracting(..<body).withUnsafeBytes {
            unsafe CRC32C.checksum($0)
        }
        guard sum == expected else {
            throw .badMagic(
                field: "checksum of the seal's header",
                offset: tail.streamOffset &- 4,
                expected: UInt64(expected),
                found: UInt64(sum)
            )
        }
        var cursor = WireCursor(offset: 12, base: offset)
        let algorithm = try cursor.be32(bytes, "seal's algorithm")
        guard let known = IntegrityAlgorithm.allCases.first(where: { $0.wireValue == algorithm })
        else {
            throw .unknownKind(
                field: "seal's algorithm",
                offset: cursor.streamOffset &- 4,
                found: "\(algorithm)"
            )
        }
        self.algorithm = known
        let pageByteCount = try cursor.be32(bytes, "seal's page size")
        try Self.demand(
            pageByteCount == UInt32(TargetPage.byteCount),
            offset &+ 16,
            "seal's page size"
        ) {
            ("\(TargetPage.byteCount)", "\(pageByteCount)")
        }
        try cursor.skip(4, bytes, "seal's header length")
        streamStart = try cursor.be64(bytes, "sealed stream's start")
        streamEnd = try cursor.be64(bytes, "sealed stream's end")
        let (end, start) = (streamEnd, streamStart)
        try Self.demand(
            start <= end && end <= offset && offset - end < Self.alignment,
            offset &+ 24,
            "sealed stream's place"
        ) {
            ("one that ends before the seal", "\(hexadecimal(start)) to \(hexadecimal(end))")
        }
        byteCount = try cursor.be64(bytes, "seal's length")
        let claimed = byteCount
        try Self.demand(claimed == sealByteCount, offset &+ 40, "seal's length") {
            ("\(sealByteCount)", "\(claimed)")
        }
        let blockCount = try Self.count(&cursor, bytes, "sealed blocks", Limits.ramBlockCount)
        let partCount = try Self.count(&cursor, bytes, "sealed parts", Self.partCountLimit)
        blocks = []
        parts = []
        try decodeBlocks(blockCount, &cursor, bytes)
        for _ in 0..<partCount {
            parts.append(try SealedPart(decoding: &cursor, bytes, known.digestByteCount))
        }
        let stop = cursor.offset
        try Self.demand(stop == body, offset &+ 20, "seal's header length") {
            ("\(body + 4) bytes", "\(stop + 4)")
        }
    }

    private mutating func decodeBlocks(
        _ count: Int,
        _ cursor: inout WireCursor,
        _ bytes: Span<UInt8>
    ) throws(WireError) {
        // Tables come one behind the other: so no two share a byte, and none the header or footer.
        var free = UInt64(bytes.count)
        let end = byteCount - UInt64(SealFooter.byteCount)
        var total: UInt64 = 0
        for _ in 0..<count {
            var block = SealedBlock(name: try cursor.cstr(bytes, "sealed block"), byteCount: 0)
            block.byteCount = try cursor.be64(bytes, "sealed block's length")
            let length = block.byteCount
            try Self.demand(
                TargetPage.isAligned(length) && length <= Limits.ramByteCount - total,
                cursor.streamOffset &- 8,
                "sealed block's length"
            ) { ("whole pages within the limit", "\(length)") }
            total += length
            block.tableOffset = try cursor.be64(bytes, "sealed block's table")
            let place = block.tableOffset
            let tableByteCount = block.tableByteCount(algorithm)
            try Self.demand(
                place % Self.alignment == 0 && place >= free && place <= end
                    && tableByteCount <= end - place,
                cursor.streamOffset &- 8,
                "sealed block's table"
            ) { ("one within the seal, behind the one before", hexadecimal(place)) }
            free = place + tableByteCount
            blocks.append(block)
        }
    }

    /// The length of a header, from its first `fixedByteCount` bytes.
    ///
    /// - Throws: `WireError.badMagic`; `.unsupportedVersion`; `.limitExceeded`; `.truncated`.
    public static func byteCount(
        peeking cursor: WireCursor,
        _ bytes: Span<UInt8>
    ) throws(WireError) -> Int {
        var ahead = cursor
        let magic = try ahead.be64(bytes, "seal")
        guard magic == Self.magic else {
            throw .badMagic(
                field: "seal",
                offset: cursor.streamOffset,
                expected: Self.magic,
                found: magic
            )
        }
        let version = try ahead.be32(bytes, "seal's version")
        guard version == Self.version else {
            throw .unsupportedVersion(
                field: "seal's version",
                offset: ahead.streamOffset &- 4,
                supported: Self.version...Self.version,
                found: version
            )
        }
        try ahead.skip(8, bytes, "seal's algorithm")
        let byteCount = try count(&ahead, bytes, "seal's header length", byteCountLimit)
        try demand(byteCount >= fixedByteCount + 4, ahead.streamOffset &- 4, "seal's header length")
        {
            ("at least \(fixedByteCount + 4)", "\(byteCount)")
        }
        return byteCount
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(encodedByteCount)
        bytes.appendBigEndian(Self.magic)
        bytes.appendBigEndian(Self.version)
        bytes.appendBigEndian(algorithm.wireValue)
        bytes.appendBigEndian(UInt32(TargetPage.byteCount))
        bytes.appendBigEndian(UInt32(encodedByteCount))
        bytes.appendBigEndian(streamStart)
        bytes.appendBigEndian(streamEnd)
        bytes.appendBigEndian(byteCount)
        bytes.appendBigEndian(UInt32(blocks.count))
        bytes.appendBigEndian(UInt32(parts.count))
        for block in blocks {
            bytes.appendName(block.name)
            bytes.appendBigEndian(block.byteCount)
            bytes.appendBigEndian(block.tableOffset)
        }
        for part in parts { part.encode(into: &bytes) }
        bytes.appendBigEndian(CRC32C.checksum(bytes))
        output.append(contentsOf: bytes)
    }

    private static func count(
        _ cursor: inout WireCursor,
        _ bytes: Span<UInt8>,
        _ field: StaticString,
        _ limit: Int
    ) throws(WireError) -> Int {
        let found = try cursor.be32(bytes, field)
        guard found <= limit else {
            throw .limitExceeded(
                field: field.description,
                offset: cursor.streamOffset &- 4,
                limit: UInt64(limit),
                found: UInt64(found)
            )
        }
        return Int(found)
    }

    /// Throws unless what was just read is as it must be.
    private static func demand(
        _ holds: Bool,
        _ offset: UInt64,
        _ field: StaticString,
        _ words: () -> (expected: String, found: String)
    ) throws(WireError) {
        guard !holds else { return }
        let (expected, found) = words()
        throw .invalidValue(
            field: field.description,
            offset: offset,
            expected: expected,
            found: found
        )
    }
}
