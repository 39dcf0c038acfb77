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
        try beginList(plan, blocks: blocks)
        try endList(earlySections: earlySections)
    }

    /// Writes everything up to the end of the list, which stays open.
    func beginList(_ plan: StreamPlan, blocks: [StreamBlock]) throws(StreamError) {
        let frame = StreamFrame(plan, output)
        self.frame = frame
        self.blocks = blocks
        try frame.begin(total: blocks.reduce(0) { $0 + UInt64($1.byteCount) })
        let hasAddresses = plan.configuration.leavesOutSharedMemory
        for block in blocks {
            var bytes = [UInt8]()
            RAMBlockRecord(
                name: block.name,
                usedLength: UInt64(block.byteCount),
                guestAddress: hasAddresses ? block.guestAddress ?? 0 : nil
            ).encode(into: &bytes)
            try output.put(bytes)
        }
    }

    /// Ends the list, and with it the first part of the RAM section.
    func endList(earlySections: [UInt8]) throws(StreamError) {
        try frame?.endPart()
        try output.put(earlySections)
    }

    /// See `GuestWriter`.
    public func finish(
        deviceSections: [UInt8],
        description: [UInt8]?,
        closesMemory: Bool
    ) throws(StreamError) {
        try frame?.finish(
            deviceSections: deviceSections,
            description: description,
            closesMemory: closesMemory
        )
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
                try beginRecord(run.block, offset: offset, flags: .page)
                unsafe try output.putPage(page, byteCount: targetPageByteCount)
                offset += targetPageByteCount
                unsafe page += targetPageByteCount
            }
        }
    }

    /// Lets go of the pages: whatever refers to their memory is handed to the channel.
    public func settle() throws(StreamError) {
        try output.settle()
    }

    /// Writes a record of nine bytes for each page.
    public func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        for page in stride(from: offset, to: offset + byteCount, by: targetPageByteCount) {
            try beginRecord(block, offset: page, flags: .zero)
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

    /// Writes the record of one page whose memory changes as soon as this returns.
    func write(
        copyOf page: UnsafeRawBufferPointer,
        _ block: Int,
        _ offset: Int
    ) throws(StreamError) {
        try beginRecord(block, offset: offset, flags: .page)
        unsafe try output.put(copyOf: page)
    }

    /// Writes the record of a difference that was made here.
    ///
    /// - Returns: bytes of the record without its word.
    func write(
        delta: UnsafeRawBufferPointer,
        _ block: Int,
        _ offset: Int
    ) throws(StreamError) -> Int {
        let start = output.position
        try beginRecord(block, offset: offset, flags: .xbzrle)
        let count = delta.count
        try output.put(XBZRLEHeader.mark)
        try output.put(UInt8(truncatingIfNeeded: count >> 8))
        try output.put(UInt8(truncatingIfNeeded: count))
        unsafe try output.put(copyOf: delta)
        return Int(output.position - start) - RAMWord.byteCount
    }

    @inline(__always)
    private func beginRecord(_ block: Int, offset: Int, flags: RAMFlags) throws(StreamError) {
        guard block == currentBlock else {
            return try beginBlock(block, offset: offset, flags: flags)
        }
        try output.put(RAMWord(offset: UInt64(offset), flags: flags.union(.continues)).rawValue)
    }

    private func beginBlock(_ block: Int, offset: Int, flags: RAMFlags) throws(StreamError) {
        var bytes = [UInt8]()
        RAMWord(offset: UInt64(offset), flags: flags).encode(into: &bytes)
        bytes.appendName(blocks[block].name)
        try output.put(bytes)
        currentBlock = block
    }
}
