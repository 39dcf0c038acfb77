import BerthMemory
import BerthStream
import BerthWire

/// Counts pages, and compares them with a seal if there is one.
final class VerifyingReceiver: StreamReceiver, PageSink {
    let census = PageCensus()
    /// Nil if no page is compared.
    private(set) var pages: SealedPages?
    /// What differs between the stream's blocks and those that were sealed.
    private(set) var blockVerdict = SealVerdict()
    var onProgress: ((StreamProgress) -> Void)?
    private let seal: Seal?
    private let comparesPages: Bool

    init(_ seal: Seal?, comparesPages: Bool) {
        self.seal = seal
        self.comparesPages = comparesPages
    }

    func accept(_ configuration: ConfigurationSection) throws(StreamError) {
        try census.accept(configuration)
    }

    func accept(
        _ blocks: [StreamBlock],
        ramSectionID: UInt32
    ) throws(StreamError) -> any PageSink {
        _ = try census.accept(blocks, ramSectionID: ramSectionID)
        if let seal {
            blockVerdict = seal.check(blocks)
            // Not before: what a seal claims of blocks isn't believed, nor room made for it.
            if blockVerdict.isWhole, comparesPages { pages = SealedPages(seal) }
        }
        return self
    }

    func accept(section: SectionHeader.Identity) throws(StreamError) {}

    func kept(earlySections: [UInt8]) throws(StreamError) {}

    func answer(_ message: ReturnPathMessage) throws(StreamError) {}

    func progressed(_ progress: StreamProgress) throws(StreamError) {
        onProgress?(progress)
    }

    func write(_ run: DataRun) throws(StreamError) {
        // A census notes where a mapped-ram image has its pages when it is asked to place them.
        if census.blocks[run.block].pagesOffset == nil { try census.write(run) }
        try pages?.write(run)
    }

    func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        if census.blocks[block].pagesOffset == nil {
            try census.zero(block: block, offset: offset, byteCount: byteCount)
        }
        try pages?.zero(block: block, offset: offset, byteCount: byteCount)
    }

    func apply(_ delta: PageDelta) throws(StreamError) {
        try census.apply(delta)
        try pages?.apply(delta)
    }

    func place(
        block: Int,
        from offset: UInt64,
        present: PageBitmap
    ) throws(StreamError) -> Bool {
        _ = try census.place(block: block, from: offset, present: present)
        return pages == nil
    }
}
