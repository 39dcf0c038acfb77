import BerthMemory
import BerthWire
import Glibc

/// Writes QEMU's sequential stream: every page follows its own header, in the order it is sent.
///
/// Format: docs/wire/sequential.md.
@safe
public final class SequentialWriter: GuestWriter {
    /// Where the stream goes.
    public let output: StreamOutput

    /// See `GuestWriter`.
    public private(set) var frame: StreamFrame?

    private var blocks: [StreamBlock] = []
    /// Block of the page record before, whose name the next record need not repeat.
    private var currentBlock = -1
    private let scratch = UnsafeMutableRawBufferPointer.allocate(
        byteCount: targetPageByteCount,
        alignment: targetPageByteCount
    )

    /// Makes a writer; nothing is written before `begin`.
    public init(_ output: StreamOutput) {
        self.output = output
    }

    deinit {
        unsafe scratch.deallocate()
    }

    /// See `GuestWriter`.
    public func begin(
        _ plan: StreamPlan,
        blocks: [StreamBlock],
        earlySections: [UInt8]
    ) throws(StreamError) {
        let frame = StreamFrame(plan, output)
        self.frame = frame
        self.blocks = blocks
        try frame.begin(total: blocks.reduce(0) { $0 + UInt64($1.byteCount) })
        for block in blocks {
            var bytes = [UInt8]()
            RAMBlockRecord(name: block.name, usedLength: UInt64(block.byteCount))
                .encode(into: &bytes)
            try output.put(bytes)
        }
        try frame.endPart()
        try output.put(earlySections)
    }

    /// See `GuestWriter`.
    public func finish(deviceSections: [UInt8], description: [UInt8]) throws(StreamError) {
        try frame?.finish(deviceSections: deviceSections, description: description)
    }

    /// Writes a record for each page of the run, straight from where the pages lie.
    ///
    /// Pages are read from there at the latest in `settle`.
    public func write(_ run: DataRun) throws(StreamError) {
        var offset = run.offset
        for index in unsafe run.pieces.indices {
            let piece = unsafe run.pieces[index]
            guard var page = unsafe piece.iov_base else { continue }
            let end = unsafe page + piece.iov_len
            while unsafe page < end {
                if run.block == currentBlock {
                    unsafe try output.putPage(
                        word: RAMWord(offset: UInt64(offset), flags: [.page, .continues]).rawValue,
                        page: page,
                        byteCount: targetPageByteCount
                    )
                } else {
                    try beginBlock(run.block, offset: offset, flags: .page)
                    unsafe try output.putPage(page, byteCount: targetPageByteCount)
                }
                offset += targetPageByteCount
                unsafe page += targetPageByteCount
            }
        }
    }

    /// Hands everything to the channel.
    public func settle() throws(StreamError) {
        try output.flush()
    }

    /// Writes a record of nine bytes for each page.
    public func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        for page in stride(from: offset, to: offset + byteCount, by: targetPageByteCount) {
            if block == currentBlock {
                try output.put(
                    RAMWord(offset: UInt64(page), flags: [.zero, .continues]).rawValue
                )
            } else {
                try beginBlock(block, offset: page, flags: .zero)
            }
            try output.put(UInt8(0))
        }
    }

    /// Forwards the difference: the destination's page has the same content as here.
    public func apply(_ delta: PageDelta) throws(StreamError) {
        // Judged before it is sent on, on a page that nobody needs.
        unsafe try delta.apply(to: scratch)
        var bytes = [UInt8]()
        RAMWord(offset: UInt64(delta.offset), flags: .xbzrle).encode(into: &bytes)
        bytes.appendName(blocks[delta.block].name)
        XBZRLEHeader(deltaByteCount: unsafe delta.bytes.count).encode(into: &bytes)
        unsafe bytes.append(contentsOf: delta.bytes)
        try output.put(bytes)
        currentBlock = delta.block
    }

    private func beginBlock(_ block: Int, offset: Int, flags: RAMFlags) throws(StreamError) {
        var bytes = [UInt8]()
        RAMWord(offset: UInt64(offset), flags: flags).encode(into: &bytes)
        bytes.appendName(blocks[block].name)
        try output.put(bytes)
        currentBlock = block
    }
}
