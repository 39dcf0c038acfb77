import BerthMemory
import BerthWire
import Glibc

/// Compares pages with a seal as a reader gives them, in any order.
///
/// Of a page that comes again the last content counts. Memory: two bits a page.
@safe
public final class SealedPages: PageSink {
    /// Whether changes to pages came (XBZRLE), which say nothing of the page without what it was.
    ///
    /// The verdict is then of no use: compare pages that were put together.
    public private(set) var sawDelta = false

    private let seal: Seal
    private let digester: PageDigester
    private var bad: [PageBitmap]
    private var mentioned: [PageBitmap]
    private let batch = PageBatch()

    /// Pages whose entries are at hand: a large enough part of a table that reading it costs nothing
    /// beside the pages.
    private static let windowPageCount = 4096
    private let window: UnsafeMutableRawBufferPointer
    private let scratch: UnsafeMutableRawBufferPointer
    private var windowPlace: (block: Int, pages: Range<Int>) = (0, 0..<0)

    /// Begins with no page seen.
    ///
    /// - Parameter seal: of a stream whose blocks are those that it lists.
    public init(_ seal: Seal) {
        self.seal = seal
        let digester = PageDigester(seal.algorithm)
        self.digester = digester
        bad = seal.header.blocks.map { PageBitmap(pageCount: $0.pageCount) }
        mentioned = bad
        unsafe window = .allocate(
            byteCount: Self.windowPageCount * digester.entryByteCount,
            alignment: 64
        )
        unsafe scratch = .allocate(byteCount: 64 * digester.entryByteCount, alignment: 64)
    }

    deinit {
        unsafe window.deallocate()
        unsafe scratch.deallocate()
    }

    /// Compares pages with content.
    public func write(_ run: DataRun) throws(StreamError) {
        try unsafe batch.visit(run) { offset, bytes throws(StreamError) in
            unsafe try check(run.block, offset, bytes)
        }
    }

    /// Compares pages that are all zero.
    public func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        let first = offset / targetPageByteCount
        let pages = first..<first + byteCount / targetPageByteCount
        mentioned[block].set(pages, to: true)
        try checkZeros(block, pages)
    }

    /// Notes that a page can't be judged.
    public func apply(_ delta: PageDelta) throws(StreamError) {
        sawDelta = true
    }

    /// Looks at the pages that never came, which are zero, and says what differs.
    public func finish() throws(StreamError) -> SealVerdict {
        for index in bad.indices {
            var page = 0
            while let run = mentioned[index].nextRun(of: false, from: page) {
                try checkZeros(index, run)
                page = run.upperBound
            }
        }
        return SealVerdict(badPages: bad, of: seal.header.blocks)
    }

    private func check(
        _ block: Int,
        _ offset: Int,
        _ bytes: UnsafeRawBufferPointer
    ) throws(StreamError) {
        let first = offset / targetPageByteCount
        let pages = first..<first + bytes.count / targetPageByteCount
        mentioned[block].set(pages, to: true)
        var page = first
        while page < pages.upperBound {
            let entries = unsafe try entries(
                block,
                from: page,
                limit: min(64, pages.upperBound - page)
            )
            let count = entries.count / digester.entryByteCount
            let start = (page - first) * targetPageByteCount
            let part = unsafe bytes[start..<start + count * targetPageByteCount]
            note(
                unsafe digester.differing(
                    UnsafeRawBufferPointer(rebasing: part),
                    from: entries,
                    scratch: scratch
                ),
                block,
                page..<page + count
            )
            page += count
        }
    }

    private func checkZeros(_ block: Int, _ pages: Range<Int>) throws(StreamError) {
        bad[block].set(pages, to: false)
        var page = pages.lowerBound
        while page < pages.upperBound {
            let entries = unsafe try entries(
                block,
                from: page,
                limit: min(64, pages.upperBound - page)
            )
            let count = entries.count / digester.entryByteCount
            note(unsafe digester.nonzero(entries), block, page..<page + count)
            page += count
        }
    }

    private func note(_ differing: UInt64, _ block: Int, _ pages: Range<Int>) {
        bad[block].set(pages, to: false)
        var rest = differing
        while rest != 0 {
            let page = pages.lowerBound + rest.trailingZeroBitCount
            bad[block].set(page..<page + 1, to: true)
            rest &= rest - 1
        }
    }

    /// Entries of pages from `page` on, at least one and at most `limit`.
    private func entries(
        _ block: Int,
        from page: Int,
        limit: Int
    ) throws(StreamError) -> UnsafeRawBufferPointer {
        let size = digester.entryByteCount
        if windowPlace.block != block || !windowPlace.pages.contains(page) {
            let first = page / Self.windowPageCount * Self.windowPageCount
            let end = min(first + Self.windowPageCount, bad[block].pageCount)
            unsafe try seal.readEntries(
                block: block,
                from: first,
                into: UnsafeMutableRawBufferPointer(rebasing: window[..<((end - first) * size)])
            )
            windowPlace = (block, first..<end)
        }
        let start = (page - windowPlace.pages.lowerBound) * size
        let count = min(limit, windowPlace.pages.upperBound - page)
        return unsafe UnsafeRawBufferPointer(rebasing: window[start..<start + count * size])
    }
}
