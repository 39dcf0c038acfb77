extension MultifdPacketHeader {
    /// Decodes a header up to its offsets, which `offset(at:in:)` loads.
    ///
    /// Everything that can be told without knowing the guest is checked. Whether the block exists,
    /// the offsets lie in it and the method is the agreed one is the caller's question.
    ///
    /// - Throws: `WireError.badMagic`; `.unsupportedVersion`; `.unknownKind` for flags without
    ///   meaning and for packets with the state of a device; `.limitExceeded` for more pages than
    ///   fit, or more payload than any sender makes; `.invalidValue` for counts that contradict
    ///   each other or the payload, and for a name that isn't one; `.truncated`, which asks for
    ///   the first `prefixByteCount` bytes before it asks for all.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        var ahead = cursor
        flags = try ahead.multifdFlags(bytes)
        let rest = Self.byteCount - Self.prefixByteCount
        try ahead.require(rest, bytes, "multifd packet header")
        pagesAllocated = try ahead.count(
            bytes,
            "multifd pages_alloc",
            limit: UInt64(Self.pageLimit)
        )
        normalCount = try ahead.count(bytes, "multifd normal_pages", limit: UInt64(pagesAllocated))
        payloadByteCount = try ahead.count(
            bytes,
            "multifd next_packet_size",
            limit: UInt64(Self.payloadByteLimit)
        )
        packetNumber = try ahead.be64(bytes, "multifd packet_num")
        zeroCount = try ahead.count(
            bytes,
            "multifd zero_pages",
            limit: UInt64(pagesAllocated - normalCount)
        )
        if normalCount + zeroCount == 0 {
            // Older sources leave the number of the packet before: nothing follows all the same.
            // Behind a packet with pages and sync point they send one that is neither.
            payloadByteCount = 0
        }
        try Self.check(
            payloadByteCount: payloadByteCount,
            of: normalCount,
            flags,
            at: cursor.streamOffset &+ 20
        )
        ahead.offset = cursor.offset + Self.nameOffset
        blockName = try ahead.paddedName(bytes, isNeeded: normalCount + zeroCount > 0)
        cursor.offset += Self.byteCount
    }

    private static func check(
        payloadByteCount: Int,
        of normalCount: Int,
        _ flags: MultifdFlags,
        at offset: UInt64
    ) throws(WireError) {
        let pageBytes = normalCount * TargetPage.byteCount
        let isRight =
            normalCount == 0
            ? payloadByteCount == 0
            : flags.method == MultifdMethod.none
                ? payloadByteCount == pageBytes : payloadByteCount > 0
        guard isRight else {
            throw .invalidValue(
                field: "multifd next_packet_size",
                offset: offset,
                expected: normalCount > 0 && flags.method != MultifdMethod.none
                    ? "some bytes for \(normalCount) pages"
                    : "\(pageBytes) bytes for \(normalCount) pages",
                found: String(payloadByteCount)
            )
        }
    }
}

extension WireCursor {
    fileprivate mutating func multifdFlags(
        _ bytes: Span<UInt8>
    ) throws(WireError) -> MultifdFlags {
        try require(MultifdPacketHeader.prefixByteCount, bytes, "multifd packet header")
        try multifdMagic(bytes)
        let place = streamOffset
        let flags = MultifdFlags(rawValue: try be32(bytes, "multifd flags"))
        guard !flags.contains(.deviceState) else {
            throw .unknownKind(
                field: "multifd packet",
                offset: place,
                found: "with the state of a device (flags \(hexadecimal(flags.rawValue)))"
            )
        }
        guard flags.unknown == 0, flags.method != nil else {
            throw .unknownKind(
                field: "multifd flags",
                offset: place,
                found: hexadecimal(flags.rawValue)
            )
        }
        return flags
    }

    fileprivate mutating func count(
        _ bytes: Span<UInt8>,
        _ field: StaticString,
        limit: UInt64
    ) throws(WireError) -> Int {
        let place = streamOffset
        let count = try be32(bytes, field)
        guard count <= limit else {
            throw .limitExceeded(
                field: field.description,
                offset: place,
                limit: limit,
                found: UInt64(count)
            )
        }
        return Int(count)
    }

    /// Reads the name's field: printable ASCII up to the first NUL, which must be there.
    fileprivate mutating func paddedName(
        _ bytes: Span<UInt8>,
        isNeeded: Bool
    ) throws(WireError) -> String {
        var length = 0
        while length < MultifdPacketHeader.nameByteCount, bytes[offset + length] != 0 {
            length += 1
        }
        guard length < MultifdPacketHeader.nameByteCount, length > 0 || !isNeeded else {
            throw .invalidValue(
                field: "multifd block name",
                offset: streamOffset,
                expected: "a name of 1 to 255 bytes",
                found: length == 0 ? "an empty one" : "a longer one"
            )
        }
        return try printable(length, bytes, "multifd block name")
    }
}
