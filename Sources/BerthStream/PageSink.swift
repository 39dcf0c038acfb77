public import Glibc

/// A RAM block as a stream lists it.
public struct StreamBlock: Sendable, Equatable {
    /// Name of the block, 1 to 255 bytes.
    public let name: String
    /// Used length in bytes, a multiple of the target page size.
    public let byteCount: Int

    /// Describes a block.
    public init(name: String, byteCount: Int) {
        self.name = name
        self.byteCount = byteCount
    }
}

/// Contiguous pages of one block that have content.
public struct DataRun {
    /// Index of the block in the stream's list.
    public let block: Int
    /// Offset of the first byte in the block, page-aligned.
    public let offset: Int
    /// Number of bytes, a multiple of the page size, equal to the sum of the pieces.
    public let byteCount: Int
    /// Where the bytes are: each piece is one or more whole pages. Valid during the call only.
    public let pieces: UnsafeBufferPointer<iovec>

    /// Describes a run whose pieces add up to `byteCount`.
    public init(
        block: Int,
        offset: Int,
        byteCount: Int,
        pieces: UnsafeBufferPointer<iovec>
    ) {
        self.block = block
        self.offset = offset
        self.byteCount = byteCount
        unsafe self.pieces = unsafe pieces
    }
}

/// Where pages go: guest memory, an image, or a stream. One thread calls it.
///
/// Calls come per run, not per page; within one block a later call for a page replaces an
/// earlier one. Every offset and length was checked against the block list before the call.
public protocol PageSink: AnyObject {
    /// Takes pages with content.
    func write(_ run: DataRun) throws(StreamError)

    /// Takes pages that are all zero.
    func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError)

    /// Lets `body` change one page in place, starting from its present content (XBZRLE).
    func modifyPage(
        block: Int,
        offset: Int,
        _ body: (UnsafeMutableRawBufferPointer) throws(StreamError) -> Void
    ) throws(StreamError)

    /// Memory that a reader may fill by itself instead of calling `write`, or nil.
    ///
    /// A reader that uses it calls `didFill` afterwards.
    func memory(
        block: Int,
        offset: Int,
        byteCount: Int
    ) -> UnsafeMutableRawBufferPointer?

    /// Notes that the memory given out for this range now has content.
    func didFill(block: Int, offset: Int, byteCount: Int)
}

extension PageSink {
    /// Most sinks have no memory to give out.
    public func memory(
        block: Int,
        offset: Int,
        byteCount: Int
    ) -> UnsafeMutableRawBufferPointer? {
        nil
    }

    /// Nothing to note where no memory is given out.
    public func didFill(block: Int, offset: Int, byteCount: Int) {}
}
