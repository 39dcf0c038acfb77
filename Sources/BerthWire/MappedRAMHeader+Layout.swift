extension MappedRAMHeader {
    /// Bytes of the bitmap of a block, whole 64-bit words.
    ///
    /// - Parameter usedLength: bytes of the block.
    public static func bitmapByteCount(usedLength: UInt64) -> UInt64 {
        let pageCount = usedLength / UInt64(TargetPage.byteCount)
        return (pageCount / 64 + (pageCount % 64 == 0 ? 0 : 1)) * 8
    }

    /// The header that a writer gives to a block: the bitmap directly after the header, the pages
    /// at the next multiple of `pagesAlignment`.
    ///
    /// - Parameters:
    ///   - headerEnd: place in the file of the byte after the header.
    ///   - usedLength: bytes of the block.
    /// - Throws: `WireError.invalidValue` if the pages would end above 2^63, the largest place that
    ///   a file has.
    public static func layout(
        headerEnd: UInt64,
        usedLength: UInt64
    ) throws(WireError) -> MappedRAMHeader {
        let bitmapEnd = headerEnd.addingReportingOverflow(bitmapByteCount(usedLength: usedLength))
        let rounded = bitmapEnd.partialValue.addingReportingOverflow(pagesAlignment - 1)
        let pagesOffset = rounded.partialValue & ~(pagesAlignment - 1)
        let end = pagesOffset.addingReportingOverflow(usedLength)
        guard !bitmapEnd.overflow, !rounded.overflow, !end.overflow,
            end.partialValue <= UInt64(Int64.max)
        else {
            throw .invalidValue(
                field: "end of the block's pages",
                offset: headerEnd,
                expected: "a place in a file, below 2^63",
                found: "\(hexadecimal(headerEnd)) plus \(hexadecimal(usedLength))"
            )
        }
        return MappedRAMHeader(bitmapOffset: headerEnd, pagesOffset: pagesOffset)
    }

    /// Bytes of the file that the block's bitmap takes; `validate` must have passed.
    public func bitmapRange(usedLength: UInt64) -> Range<UInt64> {
        bitmapOffset..<(bitmapOffset + Self.bitmapByteCount(usedLength: usedLength))
    }

    /// Bytes of the file that the block's pages take; `validate` must have passed.
    public func pagesRange(usedLength: UInt64) -> Range<UInt64> {
        pagesOffset..<(pagesOffset + usedLength)
    }

    /// Place in the file where the stream goes on after this block: directly after its pages.
    ///
    /// `validate` must have passed.
    public func nextRecordOffset(usedLength: UInt64) -> UInt64 {
        pagesOffset + usedLength
    }

    /// Whether the file ends before the bitmap or the pages do.
    public func isBehindEnd(usedLength: UInt64, fileByteCount: UInt64) -> Bool {
        [
            bitmapOffset.addingReportingOverflow(Self.bitmapByteCount(usedLength: usedLength)),
            pagesOffset.addingReportingOverflow(usedLength),
        ].contains { $0.overflow || $0.partialValue > fileByteCount }
    }

    /// Judges the offsets of a header that was read.
    ///
    /// - Parameters:
    ///   - usedLength: bytes of the block, as in its record.
    ///   - headerEnd: place in the file of the byte after the header; nothing of the block may lie
    ///     before it, so that reading only ever goes forward.
    ///   - fileByteCount: bytes of the file.
    ///   - streamOffset: where the header was read, for messages.
    /// - Throws: `WireError.invalidValue` for pages that are not aligned to the target page, for
    ///   regions before `headerEnd`, beyond the file's end, or overlapping each other.
    public func validate(
        usedLength: UInt64,
        headerEnd: UInt64,
        fileByteCount: UInt64,
        at streamOffset: UInt64
    ) throws(WireError) {
        let bitmap = try region(
            "mapped-ram bitmap offset",
            at: streamOffset &+ 12,
            start: bitmapOffset,
            byteCount: Self.bitmapByteCount(usedLength: usedLength),
            within: headerEnd,
            fileByteCount
        )
        let pages = try region(
            "mapped-ram pages offset",
            at: streamOffset &+ 20,
            start: pagesOffset,
            byteCount: usedLength,
            within: headerEnd,
            fileByteCount
        )
        guard TargetPage.isAligned(pagesOffset) else {
            throw .invalidValue(
                field: "mapped-ram pages offset",
                offset: streamOffset &+ 20,
                expected: "a multiple of \(TargetPage.byteCount)",
                found: hexadecimal(pagesOffset)
            )
        }
        guard !bitmap.overlaps(pages) else {
            throw .invalidValue(
                field: "mapped-ram bitmap offset",
                offset: streamOffset &+ 12,
                expected: "a bitmap outside of the block's pages",
                found: "\(hexadecimal(bitmapOffset)) with pages at \(hexadecimal(pagesOffset))"
            )
        }
    }

    private func region(
        _ field: StaticString,
        at streamOffset: UInt64,
        start: UInt64,
        byteCount: UInt64,
        within headerEnd: UInt64,
        _ fileByteCount: UInt64
    ) throws(WireError) -> Range<UInt64> {
        guard start >= headerEnd else {
            throw .invalidValue(
                field: field.description,
                offset: streamOffset,
                expected: "a place behind this header, which ends at \(hexadecimal(headerEnd))",
                found: hexadecimal(start)
            )
        }
        let end = start.addingReportingOverflow(byteCount)
        guard !end.overflow, end.partialValue <= fileByteCount else {
            throw .invalidValue(
                field: field.description,
                offset: streamOffset,
                expected: "a place with \(hexadecimal(byteCount)) bytes before the file's end at "
                    + hexadecimal(fileByteCount),
                found: hexadecimal(start)
            )
        }
        return start..<end.partialValue
    }
}
