public import BerthMemory

/// Sends the dirty pages of a RAM block to a sink, as runs that share a fate.
public struct GuestScanner {
    /// Whether zero pages are told from others; parameter `zero-page-detection` other than none.
    public let detectsZeroPages: Bool

    /// What a call of `send` did.
    public struct Outcome: Sendable {
        /// Pages sent as zero.
        public var zeroPageCount = 0
        /// Pages sent with content.
        public var dataPageCount = 0
    }

    /// 1 MiB: a written run this long is at the file system's limit, and still in the cache that
    /// the scan has just warmed.
    private static let runPageCount = 256

    /// Makes a scanner.
    public init(detectsZeroPages: Bool) {
        self.detectsZeroPages = detectsZeroPages
    }

    /// Sends pages of `block` whose bits are set, clears those bits, and stops after `limit` pages.
    ///
    /// - Parameters:
    ///   - index: the block's index in the stream's list.
    ///   - dirty: the block's bitmap.
    ///   - page: where to go on; moved past the last page sent, to the end if none is left.
    ///   - limit: number of pages after which to return, so that the caller can look around.
    public func send(
        _ block: RAMBlock,
        index: Int,
        dirty: inout PageBitmap,
        from page: inout Int,
        limit: Int,
        to sink: any PageSink
    ) throws(StreamError) -> Outcome {
        var outcome = Outcome()
        while outcome.zeroPageCount + outcome.dataPageCount < limit {
            guard let run = dirty.nextRun(from: page, limit: Self.runPageCount) else {
                page = block.pageCount
                break
            }
            // Cleared before the pages are read: a write from now on marks them again.
            dirty.set(run, to: false)
            page = run.upperBound
            try send(block, index, run, to: sink, &outcome)
        }
        return outcome
    }

    private func send(
        _ block: RAMBlock,
        _ index: Int,
        _ pages: Range<Int>,
        to sink: any PageSink,
        _ outcome: inout Outcome
    ) throws(StreamError) {
        var page = pages.lowerBound
        while page < pages.upperBound {
            let base = unsafe block.base + page * targetPageByteCount
            let fate =
                detectsZeroPages
                ? unsafe leadingFate(of: base, pageCount: pages.upperBound - page)
                : PageFate(isZero: false, pageCount: pages.upperBound - page)
            let offset = page * targetPageByteCount
            let byteCount = fate.pageCount * targetPageByteCount
            if fate.isZero {
                try sink.zero(block: index, offset: offset, byteCount: byteCount)
                outcome.zeroPageCount += fate.pageCount
            } else {
                unsafe try sink.write(
                    block: index,
                    offset: offset,
                    from: base,
                    byteCount: byteCount
                )
                outcome.dataPageCount += fate.pageCount
            }
            page += fate.pageCount
        }
    }
}
