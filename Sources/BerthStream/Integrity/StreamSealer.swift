public import BerthMemory
public import BerthTransport
public import BerthWire
import Glibc

/// Seals a stream that lies in a file already, while its pages are read once more, in any order.
///
/// Memory: one bit a page. Until `finish` the file has no end mark; `giveUp` takes away what was
/// written.
@safe
public final class StreamSealer: PageSink {
    /// Whether changes to pages came (XBZRLE): what was written is then of no use.
    public private(set) var sawDelta = false

    private let channel: Channel
    private let writer: SealWriter
    private let digester: PageDigester
    /// Pages whose entries are in the file.
    private var written: [PageBitmap]
    private let batch = PageBatch()
    private let scratch: UnsafeMutableRawBufferPointer
    /// Place behind the stream's last byte in the file.
    public let streamEnd: UInt64
    /// The blocks whose pages are to come.
    public let blocks: [StreamBlock]

    /// Cuts the file behind the stream and begins the seal.
    ///
    /// - Parameters:
    ///   - channel: the file, open for writing.
    ///   - received: the stream, read to its end.
    ///   - start: place of the stream's first byte in the file.
    ///   - maps: for each block of a mapped-ram stream the place of its first page and its bitmap.
    /// - Throws: `StreamError`.
    @available(*, noasync, message: "blocks its thread")
    public init(
        _ channel: Channel,
        _ algorithm: IntegrityAlgorithm,
        sealing received: ReceivedStream,
        from start: UInt64,
        maps: [(pagesOffset: UInt64, present: PageBitmap)]
    ) throws(StreamError) {
        var parts = SealedPart.parts(of: received.configuration, received.deviceState, algorithm)
        for (block, map) in zip(received.blocks, maps) {
            parts.append(
                .map(
                    of: block.name,
                    pagesOffset: map.pagesOffset,
                    present: map.present,
                    algorithm
                )
            )
        }
        self.channel = channel
        streamEnd = received.places.end
        blocks = received.blocks
        digester = PageDigester(algorithm)
        writer = try SealWriter(
            channel,
            algorithm,
            blocks: received.blocks,
            parts: parts,
            stream: start..<received.places.end
        )
        written = received.blocks.map {
            PageBitmap(pageCount: $0.byteCount / targetPageByteCount)
        }
        unsafe scratch = .allocate(
            byteCount: 512 * algorithm.digestByteCount,
            alignment: 64
        )
    }

    deinit {
        unsafe scratch.deallocate()
    }

    /// Writes the entries of pages with content.
    public func write(_ run: DataRun) throws(StreamError) {
        try unsafe batch.visit(run) { offset, bytes throws(StreamError) in
            let first = offset / targetPageByteCount
            let count = bytes.count / targetPageByteCount
            let entries = unsafe UnsafeMutableRawBufferPointer(
                rebasing: scratch[..<(count * digester.entryByteCount)]
            )
            unsafe digester.makeEntries(ofPages: bytes, into: entries)
            unsafe try writer.put(UnsafeRawBufferPointer(entries), block: run.block, from: first)
            written[run.block].set(first..<first + count, to: true)
        }
    }

    /// Takes away entries of pages that had content and are zero now.
    public func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        let first = offset / targetPageByteCount
        let end = first + byteCount / targetPageByteCount
        var page = first
        // Only what had content before: the rest of a table is zeros already.
        while let run = written[block].nextRun(from: page, before: end, limit: 512) {
            let entries = unsafe UnsafeMutableRawBufferPointer(
                rebasing: scratch[..<(run.count * digester.entryByteCount)]
            )
            unsafe entries.initializeMemory(as: UInt8.self, repeating: 0)
            unsafe try writer.put(
                UnsafeRawBufferPointer(entries),
                block: block,
                from: run.lowerBound
            )
            written[block].set(run, to: false)
            page = run.upperBound
        }
    }

    /// Notes that a page can't be sealed.
    public func apply(_ delta: PageDelta) throws(StreamError) {
        sawDelta = true
    }

    /// Puts the end mark; from here on the image is sealed, and the seal on the disk.
    @available(*, noasync, message: "blocks its thread")
    public func finish() throws(StreamError) {
        _ = try writer.finish()
        do {
            try channel.synchronize()
        } catch {
            throw StreamError(error)
        }
    }

    /// Takes the seal away as far as it was written.
    public func giveUp() {
        try? channel.resize(to: streamEnd)
    }
}
