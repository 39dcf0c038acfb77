public import BerthMemory
import BerthWire
public import Glibc

/// Contiguous pages of one block that have content.
@safe
public struct DataRun {
    /// Index of the block in the stream's list.
    public let block: Int
    /// Offset of the first byte in the block, page-aligned.
    public let offset: Int
    /// Number of bytes, a multiple of the page size, equal to the sum of the pieces.
    public let byteCount: Int
    /// Where the bytes are: each piece is one or more whole pages.
    ///
    /// Valid during the call only; the sink may use the elements up.
    public let pieces: UnsafeMutableBufferPointer<iovec>

    /// Describes a run whose pieces add up to `byteCount`.
    public init(
        block: Int,
        offset: Int,
        byteCount: Int,
        pieces: UnsafeMutableBufferPointer<iovec>
    ) {
        self.block = block
        self.offset = offset
        self.byteCount = byteCount
        unsafe self.pieces = unsafe pieces
    }
}

/// The difference between the new and the present content of one page.
@safe
public struct PageDelta {
    /// Index of the block in the stream's list.
    public let block: Int
    /// Offset of the page in the block, page-aligned.
    public let offset: Int
    /// The difference in XBZRLE's code, not judged yet.
    ///
    /// Valid during the call only.
    public let bytes: UnsafeRawBufferPointer
    /// Where it was read, for messages.
    public let streamOffset: UInt64

    /// Changes a page in place.
    ///
    /// - Parameter page: the present content, one target page.
    /// - Throws: `.malformed` for a bad code; the page is then partly changed.
    public func apply(to page: UnsafeMutableRawBufferPointer) throws(StreamError) {
        var target = unsafe MutableSpan<UInt8>(
            _unsafeElements: page.bindMemory(to: UInt8.self)
        )
        do {
            try XBZRLE.decode(
                unsafe bytes.bindMemory(to: UInt8.self).span,
                at: streamOffset,
                into: &target
            )
        } catch {
            throw StreamError(error)
        }
    }
}

/// Where pages go: guest memory, an image, or a stream.
///
/// One thread calls it, or several one at a time; a `ConcurrentPageSink` several at once.
///
/// Calls come per run, not per page; within one block a later call for a page replaces an
/// earlier one. Every offset and length was checked against the block list before the call.
public protocol PageSink: AnyObject {
    /// Takes pages with content.
    func write(_ run: DataRun) throws(StreamError)

    /// Takes pages that are all zero.
    func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError)

    /// Takes an XBZRLE page: changes to the content that the page had from calls before.
    func apply(_ delta: PageDelta) throws(StreamError)

    /// Memory that a reader may fill by itself instead of calling `write`, or nil.
    ///
    /// A reader that uses it calls `didFill` afterwards.
    func memory(
        block: Int,
        offset: Int,
        byteCount: Int
    ) -> UnsafeMutableRawBufferPointer?

    /// Lets go of every page given so far: their memory is about to be used again.
    ///
    /// Costs nothing where pages were taken at once.
    func settle() throws(StreamError)

    /// Notes that the memory given out for this range now has content.
    func didFill(block: Int, offset: Int, byteCount: Int)

    /// Takes all pages of a block where they lie in a mapped-ram image, instead of having them read.
    ///
    /// - Parameters:
    ///   - offset: where in the file the block's first page is.
    ///   - present: the pages that have content; the others are zero, whatever the file has there.
    /// - Returns: whether that is done; if not, pages come as from any stream.
    func place(block: Int, from offset: UInt64, present: PageBitmap) throws(StreamError) -> Bool
}

extension PageSink {
    /// Gives pages with content that lie together in memory.
    func write(
        block: Int,
        offset: Int,
        from base: UnsafeMutableRawPointer?,
        byteCount: Int
    ) throws(StreamError) {
        var piece = unsafe iovec(iov_base: base, iov_len: byteCount)
        try unsafe withUnsafeMutablePointer(to: &piece) { piece throws(StreamError) in
            unsafe try write(
                DataRun(
                    block: block,
                    offset: offset,
                    byteCount: byteCount,
                    pieces: UnsafeMutableBufferPointer(start: piece, count: 1)
                )
            )
        }
    }

    /// Most sinks have no memory to give out.
    public func memory(
        block: Int,
        offset: Int,
        byteCount: Int
    ) -> UnsafeMutableRawBufferPointer? {
        nil
    }

    /// Most sinks are done with a page when `write` returns.
    public func settle() throws(StreamError) {}

    /// Nothing to note where no memory is given out.
    public func didFill(block: Int, offset: Int, byteCount: Int) {}

    /// Most sinks can't take pages where they lie.
    public func place(
        block: Int,
        from offset: UInt64,
        present: PageBitmap
    ) throws(StreamError) -> Bool {
        false
    }
}
