import BerthMemory
import BerthTransport
import BerthWire

extension StreamReader {
    /// What to do about an image that isn't whole.
    static let cutOffHint =
        "the save was cut off before its end, or the file was truncated; save the guest again"

    /// Reads the header behind a block record and goes on behind the block's pages.
    func readMappedHeader(
        of record: RAMBlockRecord,
        _ extents: inout MappedRAMExtents
    ) throws(StreamError) -> MappedRAMHeader {
        guard input.channel.isSeekable, let fileByteCount = input.channel.byteCount else {
            throw StreamError(
                .unsupported,
                "a mapped-ram stream cannot be read from \(input.channel.name), which can't seek",
                hint: "use file: with the image's path"
            )
        }
        let position = input.position
        let header = try input.decode("a mapped-ram header") { cursor, bytes throws(WireError) in
            try MappedRAMHeader(decoding: &cursor, bytes)
        }
        let headerEnd = input.position
        do {
            try header.validate(
                usedLength: record.usedLength,
                headerEnd: headerEnd,
                fileByteCount: fileByteCount,
                at: position
            )
            let bitmap = header.bitmapRange(usedLength: record.usedLength)
            let pages = header.pagesRange(usedLength: record.usedLength)
            try extents.claim(bitmap, "mapped-ram bitmap", at: position)
            try extents.claim(pages, "mapped-ram pages", at: position)
        } catch {
            let isCutOff = header.isBehindEnd(
                usedLength: record.usedLength,
                fileByteCount: fileByteCount
            )
            throw StreamError(
                .malformed,
                error.what,
                at: error.offset,
                hint: isCutOff ? Self.cutOffHint : nil
            )
        }
        try input.seek(to: header.nextRecordOffset(usedLength: record.usedLength))
        return header
    }

    /// Loads the pages of all blocks, once.
    ///
    /// Not with the list, but where a sequential stream has its first page: sections that must be
    /// there before the pages (virtio-mem) come between the two.
    func loadMappedBlocks() throws(StreamError) {
        let headers = unloadedHeaders
        unloadedHeaders = []
        defer {
            pageThreads?.end()
            pageThreads = nil
        }
        for (index, header) in headers.enumerated() {
            try loadMapped(index, header)
        }
        try pageThreads?.settle()
    }

    /// Loads the pages of one block from their places in the file.
    private func loadMapped(_ index: Int, _ header: MappedRAMHeader) throws(StreamError) {
        let block = blocks[index]
        let present = try readBitmap(of: block, header)
        if try sink?.place(block: index, from: header.pagesOffset, present: present) == true {
            progress.dataPageCount += UInt64(present.count)
            progress.zeroPageCount += UInt64(present.pageCount - present.count)
            try receiver.progressed(progress)
            return
        }
        if pageThreads == nil, !pageChannels.isEmpty {
            pageThreads = try FileThreads(pageChannels, .fromFile)
        }
        var page = 0
        while page < present.pageCount {
            if !present[page], let gap = present.nextRun(of: false, from: page) {
                try sink?.zero(
                    block: index,
                    offset: gap.lowerBound * targetPageByteCount,
                    byteCount: gap.count * targetPageByteCount
                )
                progress.zeroPageCount += UInt64(gap.count)
                page = gap.upperBound
                continue
            }
            guard let run = present.nextRun(from: page, limit: Self.scratchPageCount) else {
                break
            }
            let (data, hole) = try split(run, from: header.pagesOffset)
            if !hole.isEmpty {
                try sink?.zero(
                    block: index,
                    offset: hole.lowerBound * targetPageByteCount,
                    byteCount: hole.count * targetPageByteCount
                )
                progress.zeroPageCount += UInt64(hole.count)
            }
            if !data.isEmpty {
                try loadRun(index, data, from: header.pagesOffset)
                progress.dataPageCount += UInt64(data.count)
                progress.streamByteCount += UInt64(data.count * targetPageByteCount)
            }
            page = max(data.upperBound, hole.upperBound)
            try receiver.progressed(progress)
        }
    }

    /// The beginning of a run: pages of a hole of the file, or pages that the file has data for.
    ///
    /// Some writers mark zero pages as present, and copies of files have holes in the place of zeros.
    private func split(
        _ run: Range<Int>,
        from base: UInt64
    ) throws(StreamError) -> (data: Range<Int>, hole: Range<Int>) {
        let start = base + UInt64(run.lowerBound * targetPageByteCount)
        if !fileData.contains(start) {
            do {
                // Behind the last data is a hole up to the file's end, and what is behind that is
                // missing, not zero.
                let end = input.channel.byteCount ?? start
                fileData = try input.channel.data(from: start) ?? end..<end
            } catch {
                throw StreamError(error)
            }
        }
        let first = run.lowerBound
        let pageByteCount = UInt64(targetPageByteCount)
        if start < fileData.lowerBound {
            let pages = (fileData.lowerBound - start) / pageByteCount
            if pages > 0 {
                return (first..<first, first..<first + Int(min(UInt64(run.count), pages)))
            }
        }
        // A page that the data ends in is data, too.
        let rest = fileData.upperBound - min(start, fileData.upperBound)
        let pages = min(UInt64(run.count), (max(rest, 1) - 1) / pageByteCount + 1)
        return (first..<first + Int(pages), first..<first)
    }

    private func readBitmap(
        of block: StreamBlock,
        _ header: MappedRAMHeader
    ) throws(StreamError) -> PageBitmap {
        let range = header.bitmapRange(usedLength: UInt64(block.byteCount))
        var bytes = [UInt8](repeating: 0, count: range.count)
        try unsafe bytes.withUnsafeMutableBufferPointer { bytes throws(StreamError) in
            unsafe try input.channel.readExactly(
                UnsafeMutableRawBufferPointer(bytes),
                at: range.lowerBound,
                "the bitmap of '\(block.name)'"
            )
        }
        return PageBitmap(
            pageCount: block.byteCount.pageCountRoundedUp,
            littleEndianBytes: bytes
        )
    }

    private func loadRun(
        _ index: Int,
        _ pages: Range<Int>,
        from base: UInt64
    ) throws(StreamError) {
        let offset = pages.lowerBound * targetPageByteCount
        let byteCount = pages.count * targetPageByteCount
        let place = base + UInt64(offset)
        guard let sink else { return }
        if let memory = unsafe sink.memory(block: index, offset: offset, byteCount: byteCount) {
            if let threads = pageThreads, let base = memory.baseAddress {
                unsafe try threads.move(base, byteCount: byteCount, place: place)
            } else {
                unsafe try input.channel.readExactly(
                    memory,
                    at: place,
                    "a page of '\(blocks[index].name)'"
                )
            }
            sink.didFill(block: index, offset: offset, byteCount: byteCount)
            return
        }
        let buffer = unsafe UnsafeMutableRawBufferPointer(rebasing: scratch[0..<byteCount])
        unsafe try input.channel.readExactly(buffer, at: place, "a page of '\(blocks[index].name)'")
        unsafe try sink.write(
            block: index,
            offset: offset,
            from: buffer.baseAddress,
            byteCount: byteCount
        )
        // The buffer is used again for the next run.
        try sink.settle()
    }
}
