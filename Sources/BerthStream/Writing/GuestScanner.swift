public import BerthMemory

/// Sends pages to a sink, as runs that share a fate.
public struct GuestScanner: PageSender {
    /// Whether zero pages are told from others; parameter `zero-page-detection` other than none.
    public let detectsZeroPages: Bool

    /// 1 MiB: a written run this long is at the file system's limit, and still in the cache that
    /// the scan has just warmed.
    private static let runPageCount = 256

    /// Makes a scanner.
    public init(detectsZeroPages: Bool) {
        self.detectsZeroPages = detectsZeroPages
    }

    /// See `PageSender`.
    public func send(
        _ block: RAMBlock,
        index: Int,
        dirty: inout PageBitmap,
        from page: inout Int,
        limit: Int,
        to sink: any PageSink
    ) throws(StreamError) -> SentPages {
        var sent = SentPages()
        while sent.count < limit {
            guard let run = dirty.nextRun(from: page, limit: Self.runPageCount) else {
                page = block.pageCount
                break
            }
            // Cleared before the pages are read: a write from now on marks them again.
            dirty.set(run, to: false)
            page = run.upperBound
            let offset = run.lowerBound * targetPageByteCount
            sent += unsafe try send(
                block.base + offset,
                byteCount: run.count * targetPageByteCount,
                block: index,
                offset: offset,
                to: sink
            )
        }
        return sent
    }

    /// Sends pages that lie anywhere in memory.
    ///
    /// A caller that wants the memory back calls the sink's `settle` first.
    ///
    /// - Parameters:
    ///   - base: page-aligned, at least `byteCount` readable bytes.
    ///   - byteCount: a multiple of the page size.
    ///   - block: index of the block in the stream's list.
    ///   - offset: where the pages belong in the block.
    public func send(
        _ base: UnsafeMutableRawPointer,
        byteCount: Int,
        block: Int,
        offset: Int,
        to sink: any PageSink
    ) throws(StreamError) -> SentPages {
        var sent = SentPages()
        var done = 0
        while done < byteCount {
            let source = unsafe base + done
            let pageCount = (byteCount - done).pageCountRoundedUp
            let fate =
                detectsZeroPages
                ? unsafe leadingFate(of: source, pageCount: pageCount)
                : PageFate(isZero: false, pageCount: pageCount)
            let runByteCount = fate.pageCount * targetPageByteCount
            if fate.isZero {
                try sink.zero(block: block, offset: offset + done, byteCount: runByteCount)
                sent.zeroCount += fate.pageCount
            } else {
                unsafe try sink.write(
                    block: block,
                    offset: offset + done,
                    from: source,
                    byteCount: runByteCount
                )
                sent.dataCount += fate.pageCount
            }
            done += runByteCount
        }
        return sent
    }
}
