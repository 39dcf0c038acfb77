public import BerthMemory
import Glibc
import Synchronization

/// Puts the pages of a stream into the memory of a guest.
///
/// Zero pages of memory that started zeroed cost nothing: only what this load itself has written
/// is cleared again.
public final class GuestMemorySink: ConcurrentPageSink {
    let blocks: [RAMBlock]
    private let written: Mutex<[PageBitmap]>
    private let startedZeroed: [Bool]

    /// The image that blocks are to lie on, if they can.
    let image: MemoryImage?
    /// What was made of the blocks of a mapped-ram image, by block.
    public internal(set) var placements: [Int: ImagePlacement] {
        get { placed.withLock { $0 } }
        set { placed.withLock { $0 = newValue } }
    }
    private let placed = Mutex<[Int: ImagePlacement]>([:])

    /// Makes a sink whose block `i` is `blocks[i]`.
    ///
    /// - Parameter image: where the pages come from, if they are to stay there.
    public init(_ blocks: [RAMBlock], image: MemoryImage? = nil) {
        self.blocks = blocks
        self.image = image
        written = Mutex(blocks.map { PageBitmap(pageCount: $0.pageCount) })
        startedZeroed = blocks.map { $0.takeUntouched() }
    }

    /// Gives up a load that failed: memory that was zero at its start is zero again.
    ///
    /// The next load relies on it, as a stream need not mention pages without content.
    public func giveUp() {
        for (index, block) in blocks.enumerated() where startedZeroed[index] || block.liesOnImage {
            block.discardContent()
        }
    }

    /// Copies the run into place.
    public func write(_ run: DataRun) throws(StreamError) {
        var target = unsafe blocks[run.block].base + run.offset
        for index in unsafe run.pieces.indices {
            let piece = unsafe run.pieces[index]
            guard let source = unsafe piece.iov_base else { continue }
            unsafe target.copyMemory(from: source, byteCount: piece.iov_len)
            unsafe target += piece.iov_len
        }
        didFill(block: run.block, offset: run.offset, byteCount: run.byteCount)
    }

    /// Clears what may have content.
    public func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        let ram = blocks[block]
        let pages = offset / targetPageByteCount..<(offset + byteCount).pageCountRoundedUp
        if startedZeroed[block] {
            clear(block, pages, of: ram)
            return
        }
        // Memory that came from a file: don't dirty what is zero already.
        for page in pages {
            let base = unsafe ram.base + page * targetPageByteCount
            if unsafe !isZero(base, byteCount: targetPageByteCount) {
                unsafe memset(base, 0, targetPageByteCount)
            }
        }
        written.withLock { $0[block].set(pages, to: false) }
    }

    private func clear(_ block: Int, _ pages: Range<Int>, of ram: RAMBlock) {
        var next = pages.lowerBound
        while let dirty = takeWritten(block, next..<pages.upperBound) {
            let base = unsafe ram.base + dirty.lowerBound * targetPageByteCount
            unsafe memset(base, 0, dirty.count * targetPageByteCount)
            next = dirty.upperBound
        }
    }

    /// Finds the first of some pages that have content, and says that they have none.
    private func takeWritten(_ block: Int, _ pages: Range<Int>) -> Range<Int>? {
        written.withLock { written in
            guard
                let dirty = written[block].nextRun(
                    from: pages.lowerBound,
                    before: pages.upperBound
                )
            else { return nil }
            written[block].set(dirty, to: false)
            return dirty
        }
    }

    /// Changes a page where it lies.
    public func apply(_ delta: PageDelta) throws(StreamError) {
        unsafe try delta.apply(
            to: UnsafeMutableRawBufferPointer(
                start: blocks[delta.block].base + delta.offset,
                count: targetPageByteCount
            )
        )
        didFill(block: delta.block, offset: delta.offset, byteCount: targetPageByteCount)
    }

    /// The guest memory itself.
    public func memory(
        block: Int,
        offset: Int,
        byteCount: Int
    ) -> UnsafeMutableRawBufferPointer? {
        unsafe UnsafeMutableRawBufferPointer(
            start: blocks[block].base + offset,
            count: byteCount
        )
    }

    /// Remembers which pages have content now.
    public func didFill(block: Int, offset: Int, byteCount: Int) {
        let pages = offset / targetPageByteCount..<(offset + byteCount).pageCountRoundedUp
        written.withLock { $0[block].set(pages, to: true) }
    }
}
