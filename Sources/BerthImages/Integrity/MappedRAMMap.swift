import BerthMemory
import BerthStream
import BerthTransport
import BerthWire

/// The headers of a mapped-ram image's blocks, where they are, and their bitmaps as they lie there.
struct MappedRAMMap {
    struct Entry {
        let name: String
        let usedLength: UInt64
        /// Place of the block's header.
        let headerOffset: UInt64
        let header: MappedRAMHeader

        /// Where the bitmap has bits of no page; nil if they are clear.
        ///
        /// - Throws: `ImageError` if the file can't be read.
        func strayBits(in file: Channel) throws(ImageError) -> UInt64? {
            let pageCount = usedLength / UInt64(TargetPage.byteCount)
            let range = header.bitmapRange(usedLength: usedLength)
            // Within the last word, of which there is one if pages don't fill it.
            guard pageCount % 64 != 0 else { return nil }
            let word = range.upperBound - 8
            let bytes = try file.readBytes(at: word, byteCount: 8)
            for bit in Int(pageCount % 64)..<64
            where bit / 8 < bytes.count && bytes[bit / 8] & 1 << UInt8(bit % 8) != 0 {
                return word + UInt64(bit / 8)
            }
            return nil
        }
    }

    let entries: [Entry]

    /// Enough for the header of a section, a word and a record with the longest name.
    private static let recordByteCount = 1024

    /// Reads the list of blocks once more, from a stream that was read to its end before.
    ///
    /// - Parameter start: place of the RAM section's start.
    @available(*, noasync)
    init(_ file: Channel, from start: UInt64) throws(ImageError) {
        var entries: [Entry] = []
        var place = start
        do {
            var bytes = try file.readBytes(at: place, byteCount: Self.recordByteCount)
            var cursor = WireCursor(base: place)
            _ = try SectionHeader(decoding: &cursor, bytes.span)
            let word = try RAMWord(decoding: &cursor, bytes.span)
            var budget = try RAMBlockListBudget(total: word.offset, at: cursor.streamOffset)
            place = cursor.streamOffset
            while !budget.isComplete {
                bytes = try file.readBytes(at: place, byteCount: Self.recordByteCount)
                cursor = WireCursor(base: place)
                let record = try RAMBlockRecord(decoding: &cursor, bytes.span, optional: [])
                try budget.account(for: record, at: place)
                let headerOffset = cursor.streamOffset
                let header = try MappedRAMHeader(decoding: &cursor, bytes.span)
                try header.validate(
                    usedLength: record.usedLength,
                    headerEnd: cursor.streamOffset,
                    fileByteCount: file.byteCount ?? 0,
                    at: headerOffset
                )
                entries.append(
                    Entry(
                        name: record.name,
                        usedLength: record.usedLength,
                        headerOffset: headerOffset,
                        header: header
                    )
                )
                place = header.nextRecordOffset(usedLength: record.usedLength)
            }
        } catch let error as ImageError {
            throw error
        } catch let error as WireError {
            throw ImageError("\(error)", offset: error.offset)
        } catch {
            throw ImageError("\(error)")
        }
        self.entries = entries
    }
}

extension ImageVerifier {
    /// Compares the bitmaps of a mapped-ram image with its blocks and with what the file has.
    func checkMaps(
        _ image: GuestImage,
        _ received: ReceivedStream,
        _ census: PageCensus,
        _ report: inout VerificationReport
    ) throws(ImageError) {
        guard received.configuration.capabilities.contains("mapped-ram"),
            image.compression == nil
        else { return }
        let file = try image.openFile()
        let map = try MappedRAMMap(file, from: received.places.ram)
        for (entry, block) in zip(map.entries, census.blocks) {
            if let place = try entry.strayBits(in: file) {
                report.add(
                    at: place,
                    "the bitmap of block '\(entry.name)' has pages behind the block's end",
                    "the bitmap is damaged; QEMU would write outside of the block, or refuse"
                )
            }
            try checkExtents(file, entry, block, &report)
        }
    }

    /// Looks for pages that are said to have content where the file has a hole.
    private func checkExtents(
        _ file: Channel,
        _ entry: MappedRAMMap.Entry,
        _ block: BlockCensus,
        _ report: inout VerificationReport
    ) throws(ImageError) {
        let start = entry.header.pagesOffset
        let pageByteCount = UInt64(TargetPage.byteCount)
        var content: Range<UInt64> = 0..<0
        var lost = 0
        var first: UInt64?
        var page = 0
        while let run = block.data.nextRun(from: page) {
            var place = start + UInt64(run.lowerBound) * pageByteCount
            let end = start + UInt64(run.upperBound) * pageByteCount
            while place < end {
                if content.upperBound <= place {
                    do throws(TransportError) {
                        content = try file.data(from: place) ?? UInt64.max..<UInt64.max
                    } catch {
                        throw ImageError(error)
                    }
                }
                // A page of which only a part is there isn't lost.
                let hole = min(end, content.lowerBound / pageByteCount * pageByteCount)
                if hole > place {
                    lost += Int((hole - place) / pageByteCount)
                    first = first ?? place
                }
                place = max(place + pageByteCount, min(end, content.upperBound))
                place = (place + pageByteCount - 1) / pageByteCount * pageByteCount
            }
            page = run.upperBound
        }
        guard let first else { return }
        report.remark(
            at: first,
            "\(lost) pages of block '\(entry.name)' are marked as having content and are holes",
            "they are restored as zeros; that is right if the file was copied sparsely, or saved "
                + "without a search for zero pages"
        )
    }
}
