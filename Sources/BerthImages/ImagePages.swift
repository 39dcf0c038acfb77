public import BerthMemory
public import BerthStream
import BerthTransport
import Glibc

/// Pages of one block that lie together and share a fate.
@safe
public struct PageRun {
    /// Offset of the first byte in the block, page-aligned.
    public let offset: Int
    /// Number of bytes, a multiple of the page size.
    public let byteCount: Int
    /// The pages' content, `byteCount` bytes; nil if all of them are zero.
    ///
    /// Valid during the call only.
    public let bytes: UnsafeMutableRawBufferPointer?

    /// Whether the pages are all zero.
    public var isZero: Bool { unsafe bytes == nil }
}

/// The pages of an image, any of them at any time.
///
/// Overview: those of a mapped-ram image are read where they lie. A sequential or compressed image
/// is first turned into a mapped-ram file without a name in `TMPDIR` (or `/var/tmp`), sparse and
/// gone with this object. Owned by one thread.
///
/// Function: memory is one bit a page and a buffer. Holes of the file are zeros and never read.
@safe
public final class ImagePages {
    /// What the image holds besides its pages.
    public let received: ReceivedStream

    let file: Channel
    let census: [BlockCensus]
    /// Data of the file around the place that was looked at last.
    private var data: Range<UInt64> = 0..<0

    private static let bufferByteCount = 1 << 20
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: bufferByteCount,
        alignment: targetPageByteCount
    )

    init(_ file: Channel, _ received: ReceivedStream, _ census: [BlockCensus]) {
        self.file = file
        self.received = received
        self.census = census
    }

    deinit {
        unsafe buffer.deallocate()
    }

    /// The blocks, in the stream's order.
    public var blocks: [StreamBlock] { received.blocks }

    /// Pages of a block that have content; the others are zero.
    ///
    /// - Parameter index: into `blocks`.
    public func data(ofBlock index: Int) -> PageBitmap { census[index].data }

    /// Reads whole pages.
    ///
    /// - Parameters:
    ///   - block: index into `blocks`.
    ///   - offset: of the first page in the block, page-aligned.
    ///   - target: as many bytes as are wanted, whole pages within the block.
    /// - Throws: `ImageError` for pages that the block doesn't have, or if the file can't be read.
    @available(*, noasync)
    public func read(
        block: Int,
        offset: Int,
        into target: UnsafeMutableRawBufferPointer
    ) throws(ImageError) {
        try blocks.requirePages(block: block, offset: offset, byteCount: target.count)
        unsafe target.initializeMemory(as: UInt8.self, repeating: 0)
        let end = (offset + target.count) / targetPageByteCount
        var page = offset / targetPageByteCount
        while let run = census[block].data.nextRun(from: page, before: end) {
            let start = run.lowerBound * targetPageByteCount - offset
            unsafe try fill(
                UnsafeMutableRawBufferPointer(
                    rebasing: target[start..<start + run.count * targetPageByteCount]
                ),
                place(block, run.lowerBound)
            )
            page = run.upperBound
        }
    }

    /// Goes through a block in order.
    ///
    /// - Parameters:
    ///   - index: into `blocks`.
    ///   - body: takes each run; the runs cover the block. One with content has at most 1 MiB.
    @available(*, noasync)
    public func visitRuns(
        ofBlock index: Int,
        _ body: (PageRun) throws(ImageError) -> Void
    ) throws(ImageError) {
        let present = census[index].data
        var page = 0
        while page < present.pageCount {
            if let gap = present.nextRun(of: false, from: page), gap.lowerBound == page {
                try visitZeros(gap, body)
                page = gap.upperBound
                continue
            }
            guard
                let run = present.nextRun(
                    from: page,
                    limit: Self.bufferByteCount / targetPageByteCount
                )
            else { return }
            let end = try visitData(index, run, body)
            page = end
        }
    }

    private func visitZeros(
        _ pages: Range<Int>,
        _ body: (PageRun) throws(ImageError) -> Void
    ) throws(ImageError) {
        try body(
            unsafe PageRun(
                offset: pages.lowerBound * targetPageByteCount,
                byteCount: pages.count * targetPageByteCount,
                bytes: nil
            )
        )
    }

    /// Gives the part of a run up to the next change between data and hole.
    ///
    /// - Returns: the page behind it.
    private func visitData(
        _ block: Int,
        _ pages: Range<Int>,
        _ body: (PageRun) throws(ImageError) -> Void
    ) throws(ImageError) -> Int {
        let start = place(block, pages.lowerBound)
        let hole = try holeByteCount(at: start, limit: pages.count * targetPageByteCount)
        let holePages = hole / targetPageByteCount
        if holePages > 0 {
            let end = pages.lowerBound + holePages
            try visitZeros(pages.lowerBound..<end, body)
            return end
        }
        // What is behind the data is a hole again.
        let count = min(pages.count, dataByteCount(at: start).pageCountRoundedUp)
        let run = unsafe UnsafeMutableRawBufferPointer(
            rebasing: buffer[0..<count * targetPageByteCount]
        )
        unsafe try readExactly(run, start)
        try body(
            unsafe PageRun(
                offset: pages.lowerBound * targetPageByteCount,
                byteCount: run.count,
                bytes: run
            )
        )
        return pages.lowerBound + count
    }

    /// Reads bytes that the bitmap says are there, but none of a hole; the target is zero.
    private func fill(_ target: UnsafeMutableRawBufferPointer, _ start: UInt64) throws(ImageError) {
        var done = 0
        while done < target.count {
            let hole = try holeByteCount(at: start + UInt64(done), limit: target.count - done)
            done += hole
            guard done < target.count else { return }
            let end = min(target.count, done + dataByteCount(at: start + UInt64(done)))
            unsafe try readExactly(
                UnsafeMutableRawBufferPointer(rebasing: target[done..<end]),
                start + UInt64(done)
            )
            done = end
        }
    }

    private func readExactly(
        _ target: UnsafeMutableRawBufferPointer,
        _ start: UInt64
    ) throws(ImageError) {
        do {
            guard unsafe try file.read(at: start, into: target) == target.count else {
                throw ImageError(
                    "the image has become shorter while it was read",
                    offset: start
                )
            }
        } catch let error as TransportError {
            throw ImageError(error)
        } catch let error as ImageError {
            throw error
        } catch {
            throw ImageError("\(error)")
        }
    }

    private func place(_ block: Int, _ page: Int) -> UInt64 {
        (census[block].pagesOffset ?? 0) + UInt64(page * targetPageByteCount)
    }

    /// How far data goes from `start` on, which isn't in a hole; at least a page, for somebody to
    /// find out that the file ends there.
    private func dataByteCount(at start: UInt64) -> Int {
        guard data.contains(start) else { return targetPageByteCount }
        return Int(clamping: data.upperBound - start)
    }

    /// How many bytes from `start` on are in a hole, at most `limit`; 0 where `data` has the place.
    private func holeByteCount(at start: UInt64, limit: Int) throws(ImageError) -> Int {
        if !data.contains(start) {
            do {
                // Behind the last data is a hole up to the file's end, and what is behind that is
                // missing, not zero.
                let end = file.byteCount ?? start
                data = try file.data(from: start) ?? end..<end
            } catch {
                throw ImageError(error)
            }
        }
        guard start < data.lowerBound else { return 0 }
        return Int(min(UInt64(limit), data.lowerBound - start))
    }
}

extension GuestImage {
    /// Opens the image for reading pages in any order.
    ///
    /// - Throws: `ImageError` if the stream isn't whole, or there is no room in `TMPDIR` for a copy
    ///   where one is needed.
    @available(*, noasync)
    public func pages() throws(ImageError) -> ImagePages {
        let census = PageCensus()
        if compression == nil {
            let reading = try read(census)
            if census.blocks.allSatisfy({ $0.pagesOffset != nil }) {
                return ImagePages(try openFile(), reading.received, census.blocks)
            }
        }
        let copy = try UnnamedFile.make(for: path)
        let source = RelaySource(try openStream())
        let relay = StreamRelay(from: source, to: copy, as: .mappedRAM)
        try relay.run { _ throws(ImageError) in try source.finish() }
        let placed = PageCensus()
        do throws(TransportError) {
            try copy.seek(to: 0)
        } catch {
            throw ImageError(error)
        }
        do {
            let received = try StreamReader(StreamInput(copy), receiver: placed).read()
            return ImagePages(copy, received, placed.blocks)
        } catch {
            throw ImageError(error, during: "reading a copy of '\(path)'")
        }
    }
}
