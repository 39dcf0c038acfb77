import BerthMemory
import BerthStream
import BerthTransport

/// Writes parts of blocks to places of a sparse file: zero pages become holes.
struct MemoryWriter {
    /// Where a part of a block goes.
    struct Target {
        /// Index of the block.
        var block: Int
        /// Bytes of the block, whole pages.
        var bytes: Range<Int>
        /// Offset in the file of the first of them.
        var fileOffset: UInt64
    }

    let file: Channel
    let targets: [Target]
    /// Called now and then.
    var progress: ((StreamProgress) -> Void)?

    /// Writes everything; each block is read once.
    ///
    /// The file must have the final length, and nothing in the places of the targets.
    @available(*, noasync)
    func write(_ pages: ImagePages) throws(ImageError) {
        let behind: WriteBehind
        do {
            behind = try WriteBehind(to: file)
        } catch {
            throw ImageError(error, during: "writing '\(file.name)'")
        }
        var done = StreamProgress()
        done.totalByteCount = targets.reduce(0) { $0 + UInt64($1.bytes.count) }
        for block in pages.blocks.indices {
            let targets = targets.filter { $0.block == block }
            guard !targets.isEmpty else { continue }
            try pages.visitRuns(ofBlock: block) { (run: PageRun) throws(ImageError) in
                for target in targets {
                    let part = target.bytes.clamped(to: run.offset..<run.offset + run.byteCount)
                    guard !part.isEmpty else { continue }
                    if let bytes = unsafe run.bytes {
                        let start = part.lowerBound - run.offset
                        unsafe try write(
                            UnsafeRawBufferPointer(rebasing: bytes[start..<start + part.count]),
                            at: target.fileOffset
                                + UInt64(part.lowerBound - target.bytes.lowerBound),
                            behind
                        )
                        done.dataPageCount += UInt64(part.count.pageCountRoundedUp)
                    } else {
                        done.zeroPageCount += UInt64(part.count.pageCountRoundedUp)
                    }
                }
                done.streamByteCount = done.dataPageCount * UInt64(targetPageByteCount)
                progress?(done)
            }
        }
        do {
            try behind.flush()
        } catch {
            throw ImageError(error, during: "writing '\(file.name)'")
        }
    }

    /// Writes whole pages, but for those that are zero: some are in an image as content.
    private func write(
        _ bytes: UnsafeRawBufferPointer,
        at offset: UInt64,
        _ behind: WriteBehind
    ) throws(ImageError) {
        guard let base = bytes.baseAddress else { return }
        var page = 0
        while page < bytes.count.pageCountRoundedUp {
            let start = page * targetPageByteCount
            let fate = unsafe leadingFate(
                of: base + start,
                pageCount: bytes.count.pageCountRoundedUp - page
            )
            page += fate.pageCount
            guard !fate.isZero else { continue }
            do {
                unsafe try behind.write(
                    UnsafeRawBufferPointer(
                        rebasing: bytes[start..<start + fate.pageCount * targetPageByteCount]
                    ),
                    at: offset + UInt64(start)
                )
            } catch {
                throw ImageError(error, during: "writing '\(file.name)'")
            }
        }
    }
}
