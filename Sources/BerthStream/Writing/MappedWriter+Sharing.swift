public import BerthMemory
public import BerthSystem
import BerthTransport
import BerthWire

// Blocks that get into the image without being written: it shares them with the file that they lie in.

extension MappedWriter {
    /// Has the image share a part of a block with the file behind its memory.
    ///
    /// What is written to the memory from then on isn't in the image.
    ///
    /// - Parameters:
    ///   - bytes: whole blocks of the file system.
    ///   - index: the block's index in the list.
    /// - Throws: `SystemCallError` that says why the file system doesn't do that.
    @available(*, noasync, message: "blocks its thread")
    public func share(
        _ bytes: Range<Int>,
        of block: RAMBlock,
        index: Int
    ) throws(SystemCallError) {
        guard let descriptor = block.mapping.descriptor, !bytes.isEmpty else { return }
        let start = block.mapping.fileOffset + UInt64(bytes.lowerBound)
        try output.channel.shareBlocks(
            start..<start + UInt64(bytes.count),
            of: descriptor,
            block.mapping.path ?? block.id,
            at: regions[index].header.pagesOffset + UInt64(bytes.lowerBound)
        )
    }

    /// Notes which pages of a block that is shared as a whole have content: those that the file has
    /// data for.
    ///
    /// - Throws: `SystemCallError` for `lseek`.
    public func markShared(_ block: RAMBlock, index: Int) throws(SystemCallError) {
        try block.mapping.visitFileData(in: 0..<block.byteCount) { bytes in
            let pages = bytes.lowerBound / targetPageByteCount..<bytes.upperBound.pageCountRoundedUp
            regions[index].present.set(pages, to: true)
        }
    }

    /// How many pages of a block the image has.
    public func presentPageCount(ofBlock index: Int) -> Int {
        regions.indices.contains(index) ? regions[index].present.count : 0
    }
}
