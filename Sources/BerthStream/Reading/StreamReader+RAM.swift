import BerthMemory
import BerthWire
import Glibc

/// Pages of one block that came one after the other and share a fate; not yet with the sink.
@safe
struct PendingRun {
    var isZero = false
    var block = 0
    var offset = 0
    var byteCount = 0
    var pieceCount = 0
    /// Where the pages lie in the input's buffer, one piece a page.
    let pieces = UnsafeMutableBufferPointer<iovec>.allocate(capacity: Self.capacity)

    /// As many pages as fit the input's buffer.
    static let capacity = 512
}

extension StreamReader {
    /// Reads the body of a RAM section of any kind, up to its end word.
    ///
    /// Runs are given to the sink whenever the buffer has to be filled again, since their pages
    /// lie in the buffer until then.
    func readRAMBody() throws(StreamError) {
        while true {
            if input.available < 8 {
                try release()
                try input.require(8, "a RAM section")
            }
            let word = RAMWord(
                rawValue: UInt64(
                    bigEndian: unsafe input.unread.loadUnaligned(as: UInt64.self)
                )
            )
            switch try kind(of: word) {
            case .page:
                guard !isMapped else { throw misplaced(word) }
                let (block, headerByteCount) = try locate(word, bodyByteCount: targetPageByteCount)
                unsafe try add(
                    page: input.unread.baseAddress.map { unsafe $0 + headerByteCount },
                    block,
                    Int(word.offset)
                )
                input.consume(headerByteCount + targetPageByteCount)
            case .zero:
                guard !isMapped else { throw misplaced(word) }
                let (block, headerByteCount) = try locate(word, bodyByteCount: 1)
                guard unsafe input.unread[headerByteCount] == 0 else {
                    throw StreamError(
                        .malformed,
                        "a zero page is filled with "
                            + "0x\(unsafe String(input.unread[headerByteCount], radix: 16))",
                        at: input.position
                    )
                }
                unsafe try add(page: nil, block, Int(word.offset))
                input.consume(headerByteCount + 1)
            case .xbzrle:
                guard !isMapped else { throw misplaced(word) }
                try readXBZRLE(word)
            case .endOfSection:
                try release()
                try passSectionEnd()
                input.consume(8)
                return
            case .blockList:
                input.consume(8)
                try readBlockList(total: word.offset)
            case .hook:
                input.consume(8)
            case .multifdFlush:
                try release()
                try passFlush()
                input.consume(8)
            }
        }
    }

    private func kind(of word: RAMWord) throws(StreamError) -> RAMWord.Kind {
        do {
            return try word.kind(at: input.position)
        } catch {
            throw StreamError(error)
        }
    }

    private func misplaced(_ word: RAMWord) -> StreamError {
        StreamError(
            .malformed,
            "a page record (word 0x\(String(word.rawValue, radix: 16))) in a mapped-ram stream",
            at: input.position
        )
    }

    /// Finds the block of a page record and makes sure that the whole record is buffered.
    ///
    /// - Returns: the block's index and the size of word and name.
    @inline(__always)
    private func locate(
        _ word: RAMWord,
        bodyByteCount: Int
    ) throws(StreamError) -> (block: Int, headerByteCount: Int) {
        var headerByteCount = 8
        if !word.continuesBlock {
            headerByteCount = try readBlockName()
        }
        guard let block = currentBlock else {
            throw StreamError(
                .malformed,
                "the first page record names no block",
                at: input.position
            )
        }
        if input.available < headerByteCount + bodyByteCount {
            try release()
            try input.require(headerByteCount + bodyByteCount, "a page of '\(blocks[block].name)'")
        }
        // An offset has its low 12 bits clear and blocks are whole pages, so one comparison does.
        guard word.offset < UInt64(blocks[block].byteCount) else {
            throw StreamError(
                .malformed,
                "page offset 0x\(String(word.offset, radix: 16)) lies outside of block "
                    + "'\(blocks[block].name)' of 0x\(String(blocks[block].byteCount, radix: 16)) "
                    + "bytes",
                at: input.position
            )
        }
        return (block, headerByteCount)
    }

    /// Looks at the name behind a word and makes its block the current one.
    ///
    /// - Returns: the size of word and name.
    private func readBlockName() throws(StreamError) -> Int {
        if input.available < 9 + 255 {
            try release()
            try input.require(9, "a block name")
            try input.require(9 + Int(unsafe input.unread[8]), "a block name")
        }
        let count = Int(unsafe input.unread[8])
        let name = unsafe String(decoding: input.unread[9..<9 + count], as: UTF8.self)
        guard let block = blockIndexes[name] else {
            throw StreamError(
                .mismatch,
                "a page for RAM block '\(name)', which the stream didn't list",
                at: input.position
            )
        }
        currentBlock = block
        return 9 + count
    }

    /// Adds one page to the pending run, handing that over first where the page doesn't join it.
    @inline(__always)
    private func add(
        page: UnsafeMutableRawPointer?,
        _ block: Int,
        _ offset: Int
    ) throws(StreamError) {
        let isZero = unsafe page == nil
        let joins =
            run.isZero == isZero && run.block == block && run.offset + run.byteCount == offset
            && run.pieceCount < PendingRun.capacity
        if !joins {
            try deliver()
            run.isZero = isZero
            run.block = block
            run.offset = offset
        }
        run.byteCount += targetPageByteCount
        if unsafe page != nil {
            unsafe run.pieces[run.pieceCount] = iovec(
                iov_base: page,
                iov_len: targetPageByteCount
            )
            run.pieceCount += 1
        }
    }

    /// Gives the pending run to the sink.
    func deliver() throws(StreamError) {
        guard run.byteCount > 0, let sink else { return }
        if run.isZero {
            try sink.zero(block: run.block, offset: run.offset, byteCount: run.byteCount)
            progress.zeroPageCount += UInt64(run.byteCount / targetPageByteCount)
        } else {
            unsafe try sink.write(
                DataRun(
                    block: run.block,
                    offset: run.offset,
                    byteCount: run.byteCount,
                    pieces: UnsafeMutableBufferPointer(rebasing: run.pieces[0..<run.pieceCount])
                )
            )
            progress.dataPageCount += UInt64(run.byteCount / targetPageByteCount)
        }
        run.byteCount = 0
        run.pieceCount = 0
        progress.streamByteCount = input.position
        try receiver.progressed(wholeProgress)
    }

    /// Delivers the pending run and lets go of the buffer that its pages lie in.
    func release() throws(StreamError) {
        if let multifd, multifd.isOver { try multifd.check() }
        try deliver()
        try sink?.settle()
    }

    private func readXBZRLE(_ word: RAMWord) throws(StreamError) {
        try release()
        let (block, headerByteCount) = try locate(word, bodyByteCount: XBZRLEHeader.byteCount)
        input.consume(headerByteCount)
        let header = try input.decode("an XBZRLE page") { cursor, bytes throws(WireError) in
            try XBZRLEHeader(decoding: &cursor, bytes)
        }
        try input.require(header.deltaByteCount, "an XBZRLE page")
        let position = input.position
        let delta = unsafe UnsafeRawBufferPointer(
            rebasing: input.unread[0..<header.deltaByteCount]
        )
        unsafe try sink?.apply(
            PageDelta(
                block: block,
                offset: Int(word.offset),
                bytes: delta,
                streamOffset: position
            )
        )
        input.consume(header.deltaByteCount)
        progress.dataPageCount += 1
    }

    /// Reads the list of blocks; for mapped-ram also their bitmaps and pages.
    private func readBlockList(total: UInt64) throws(StreamError) {
        guard sink == nil else {
            throw StreamError(.malformed, "a second list of blocks", at: input.position)
        }
        var budget: RAMBlockListBudget
        do {
            budget = try RAMBlockListBudget(total: total, at: input.position)
        } catch {
            throw StreamError(error)
        }
        let optional: RAMBlockRecord.OptionalFields =
            configuration.leavesOutSharedMemory ? .guestAddress : []
        var mapped: [MappedRAMHeader] = []
        var extents = MappedRAMExtents()
        while !budget.isComplete {
            let position = input.position
            let record = try input.decode("the list of blocks") { cursor, bytes throws(WireError) in
                try RAMBlockRecord(decoding: &cursor, bytes, optional: optional)
            }
            do {
                try budget.account(for: record, at: position)
            } catch {
                throw StreamError(error)
            }
            guard blockIndexes[record.name] == nil, let count = Int(exactly: record.usedLength)
            else {
                throw StreamError(
                    .malformed,
                    "RAM block '\(record.name)' is listed twice",
                    at: position
                )
            }
            blockIndexes[record.name] = blocks.count
            blocks.append(
                StreamBlock(
                    name: record.name,
                    byteCount: count,
                    guestAddress: record.guestAddress
                )
            )
            if isMapped {
                mapped.append(try readMappedHeader(of: record, &extents))
            }
        }
        progress.totalByteCount = total
        let sink = try receiver.accept(blocks, ramSectionID: ramSectionID ?? 0)
        self.sink = sink
        beginMultifd(sink)
        unloadedHeaders = mapped
    }
}
