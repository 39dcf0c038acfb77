/// One block in the list at the start of a RAM section.
///
/// offset 0 name (length byte and bytes) · used length (8) · [host page size (8)] ·
/// [guest-physical address (8)] · [mapped-ram header, see `MappedRAMHeader`]
///
/// Format: docs/wire/sequential.md. Origin: QEMU 10.0 migration/ram.c, ram_save_setup.
public struct RAMBlockRecord: Equatable, Sendable {
    /// Optional fields, which no byte of the record announces: the capabilities of both ends do.
    public struct OptionalFields: OptionSet, Sendable {
        /// The bits.
        public let rawValue: UInt8

        /// Makes a set from its bits.
        public init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// Capability `postcopy-ram`, and this block lies in huge pages.
        public static let hostPageSize = OptionalFields(rawValue: 1)
        /// Capability `x-ignore-shared`.
        public static let guestAddress = OptionalFields(rawValue: 2)
    }

    /// Name of the block, 1 to 255 printable bytes (idstr).
    public var name: String
    /// Bytes of the block, a multiple of the target page (used_length).
    public var usedLength: UInt64
    /// Bytes of the pages behind the block, if the record carries them.
    public var hostPageByteCount: UInt64?
    /// Guest-physical address of the block, if the record carries it.
    public var guestAddress: UInt64?

    /// Makes a record.
    public init(
        name: String,
        usedLength: UInt64,
        hostPageByteCount: UInt64? = nil,
        guestAddress: UInt64? = nil
    ) {
        self.name = name
        self.usedLength = usedLength
        self.hostPageByteCount = hostPageByteCount
        self.guestAddress = guestAddress
    }

    /// Decodes a record up to, but without, its mapped-ram header.
    ///
    /// - Parameter optional: the fields that this record has beside name and length.
    /// - Throws: `WireError.invalidValue` for a bad name or a length that is no multiple of the
    ///   target page; `.limitExceeded` for a length above `Limits.ramByteCount`; `.truncated`.
    public init(
        decoding cursor: inout WireCursor,
        _ bytes: Span<UInt8>,
        optional: OptionalFields = []
    ) throws(WireError) {
        var ahead = cursor
        name = try ahead.cstr(bytes, "block name")
        let offset = ahead.streamOffset
        usedLength = try ahead.be64(bytes, "block length")
        try checkRAMByteCount(usedLength, "block length", at: offset)
        hostPageByteCount =
            optional.contains(.hostPageSize) ? try ahead.be64(bytes, "block page size") : nil
        guestAddress =
            optional.contains(.guestAddress) ? try ahead.be64(bytes, "block address") : nil
        cursor = ahead
    }

    /// Appends the encoded form, without a mapped-ram header.
    public func encode(into output: inout [UInt8]) {
        output.appendName(name)
        output.appendBigEndian(usedLength)
        if let hostPageByteCount {
            output.appendBigEndian(hostPageByteCount)
        }
        if let guestAddress {
            output.appendBigEndian(guestAddress)
        }
    }
}

/// The running sum of a block list, which has neither a count nor an end mark: it ends when the
/// blocks' lengths reach the announced total.
public struct RAMBlockListBudget: Equatable, Sendable {
    /// Bytes of blocks that are still to come.
    public private(set) var remainingByteCount: UInt64
    /// Records accounted for.
    public private(set) var blockCount = 0

    /// Begins a list.
    ///
    /// - Parameters:
    ///   - total: the offset part of the list's word (`RAMWord.Kind.blockList`), in bytes.
    ///   - streamOffset: where the word was read, for the message.
    /// - Throws: `WireError.limitExceeded` for a total above `Limits.ramByteCount`.
    public init(total: UInt64, at streamOffset: UInt64) throws(WireError) {
        try checkRAMByteCount(total, "RAM total", at: streamOffset)
        remainingByteCount = total
    }

    /// Whether the list has ended.
    public var isComplete: Bool {
        remainingByteCount == 0
    }

    /// Subtracts a record.
    ///
    /// - Throws: `WireError.invalidValue` if the blocks add up to more than the total;
    ///   `.limitExceeded` for more blocks than `Limits.ramBlockCount`.
    public mutating func account(
        for record: RAMBlockRecord,
        at streamOffset: UInt64
    ) throws(WireError) {
        guard record.usedLength <= remainingByteCount else {
            throw .invalidValue(
                field: "length of block '\(record.name)'",
                offset: streamOffset,
                expected: "at most \(remainingByteCount), the rest of the announced total",
                found: String(record.usedLength)
            )
        }
        guard blockCount < Limits.ramBlockCount else {
            throw .limitExceeded(
                field: "block count",
                offset: streamOffset,
                limit: UInt64(Limits.ramBlockCount),
                found: UInt64(blockCount) + 1
            )
        }
        remainingByteCount -= record.usedLength
        blockCount += 1
    }
}

private func checkRAMByteCount(
    _ byteCount: UInt64,
    _ field: StaticString,
    at offset: UInt64
) throws(WireError) {
    guard byteCount <= Limits.ramByteCount else {
        throw .limitExceeded(
            field: field.description,
            offset: offset,
            limit: Limits.ramByteCount,
            found: byteCount
        )
    }
    guard TargetPage.isAligned(byteCount) else {
        throw .invalidValue(
            field: field.description,
            offset: offset,
            expected: "a multiple of \(TargetPage.byteCount)",
            found: hexadecimal(byteCount)
        )
    }
}
