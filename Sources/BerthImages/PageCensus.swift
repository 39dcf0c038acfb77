public import BerthMemory
public import BerthStream
public import BerthWire

/// The fates of one block's pages in an image.
public struct BlockCensus: Sendable {
    /// The block as the stream lists it.
    public let block: StreamBlock
    /// Pages whose last record has content.
    public private(set) var data: PageBitmap
    /// Pages that the stream mentions.
    public private(set) var mentioned: PageBitmap
    /// Records of a page that had one before.
    public private(set) var repeatedPageCount: UInt64 = 0
    /// Where in the file the block's first page is; mapped-ram images only.
    public private(set) var pagesOffset: UInt64?

    /// Pages whose last record says zero; of a mapped-ram image all that have no content.
    public var zero: PageBitmap { mentioned.subtracting(data) }

    /// Pages that the stream never mentions; a restore leaves them as they are, zero.
    public var absentPageCount: Int { data.pageCount - mentioned.count }

    init(_ block: StreamBlock) {
        self.block = block
        data = PageBitmap(pageCount: block.byteCount.pageCountRoundedUp)
        mentioned = data
    }

    /// Notes records for `pages`.
    mutating func note(_ pages: Range<Int>, isZero: Bool) {
        repeatedPageCount += UInt64(pages.count - mentioned.insert(pages))
        data.set(pages, to: !isZero)
    }

    /// Notes all pages at once, where they lie.
    mutating func note(data: PageBitmap, from offset: UInt64) {
        pagesOffset = offset
        self.data = data
        mentioned = PageBitmap(pageCount: data.pageCount, repeating: true)
    }
}

/// Goes through a stream and counts its pages by fate, without keeping any.
///
/// No page of a mapped-ram image is read.
public final class PageCensus: StreamReceiver, PageSink {
    /// The configuration section; nil before it came.
    public private(set) var configuration: ConfigurationSection?
    /// The blocks, in the stream's order; empty before the list came.
    public private(set) var blocks: [BlockCensus] = []

    /// The most pages that all blocks together may have for a census: 4 TiB, twice 128 MiB of bits.
    private static let pageLimit = 1 << 30

    /// Makes an empty census.
    public init() {}

    /// Takes any.
    public func accept(_ configuration: ConfigurationSection) throws(StreamError) {
        self.configuration = configuration
    }

    /// Begins to count.
    public func accept(
        _ blocks: [StreamBlock],
        ramSectionID: UInt32
    ) throws(StreamError) -> any PageSink {
        var pageCount = 0
        for block in blocks {
            pageCount += block.byteCount.pageCountRoundedUp
            guard pageCount <= Self.pageLimit else {
                throw StreamError(
                    .limitExceeded,
                    "the guest has over 4 TiB of memory, more than Berth looks at page by page",
                    hint: "'berth convert' and 'berth send' pass a guest of any size on"
                )
            }
        }
        self.blocks = blocks.map(BlockCensus.init)
        return self
    }

    /// Every section is taken.
    public func accept(section: SectionHeader.Identity) throws(StreamError) {}

    /// They are in the reading's device state.
    public func kept(earlySections: [UInt8]) throws(StreamError) {}

    /// A file can't hear it.
    public func answer(_ message: ReturnPathMessage) throws(StreamError) {}

    /// Nothing to report.
    public func progressed(_ progress: StreamProgress) throws(StreamError) {}

    /// Notes pages with content.
    public func write(_ run: DataRun) throws(StreamError) {
        blocks[run.block].note(pages(run.offset, run.byteCount), isZero: false)
    }

    /// Notes zero pages.
    public func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        blocks[block].note(pages(offset, byteCount), isZero: true)
    }

    /// Notes a page with content.
    public func apply(_ delta: PageDelta) throws(StreamError) {
        blocks[delta.block].note(pages(delta.offset, targetPageByteCount), isZero: false)
    }

    /// Notes all pages of a block, which stay where they are.
    public func place(
        block: Int,
        from offset: UInt64,
        present: PageBitmap
    ) throws(StreamError) -> Bool {
        blocks[block].note(data: present, from: offset)
        return true
    }

    private func pages(_ offset: Int, _ byteCount: Int) -> Range<Int> {
        offset / targetPageByteCount..<(offset + byteCount).pageCountRoundedUp
    }
}
