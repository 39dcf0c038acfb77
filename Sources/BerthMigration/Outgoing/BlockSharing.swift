import BerthMemory
import BerthQAPI
import BerthStream
import BerthSystem

/// Puts memory that is a file into an image without writing it: both files share their blocks
/// (FICLONERANGE), where the file system can do that.
///
/// Function: what the page cache has of the memory must be on the disk before that. Most of it gets
/// there while the guest runs, by sharing once for nothing; with the guest stopped only those parts
/// are shared again that were written since.
///
/// Owned by the data thread.
final class BlockSharing {
    private struct Block {
        let ram: RAMBlock
        let client: DirtyClient
        /// Pages that the image doesn't have as they are now.
        var stale: PageBitmap
    }

    private let transfer: OutgoingTransfer
    private let writer: MappedWriter
    /// The blocks that are shared, by their index in the stream's list.
    private var blocks: [Int: Block] = [:]
    /// Why others are written, by index.
    private var obstacles: [Int: String] = [:]

    /// 16 MiB: what is shared again if a page in it was written.
    private static let stepPageCount = 4096
    /// How often to try to come below the downtime limit; a guest may write faster than its disk.
    private static let preparationLimit = 5

    /// Finds out which blocks can be shared, by trying, and has writes to them noted from now on.
    ///
    /// - Returns: nil where the plan has no mapped-ram image.
    /// - Throws: `StreamError` if writes can't be found.
    init?(_ transfer: OutgoingTransfer) throws(StreamError) {
        let outer = transfer.writer as? SealingWriter
        guard let writer = (outer?.inner ?? transfer.writer) as? MappedWriter else { return nil }
        self.transfer = transfer
        self.writer = writer
        guard transfer.plan.sharesBlocks else { return }
        for (index, block) in transfer.plan.blocks.enumerated() where block.isSharedFile {
            if transfer.plan.takesSnapshot {
                obstacles[index] = "a background snapshot saves the memory of its instant"
            } else if transfer.plan.integrity != nil {
                obstacles[index] = "x-integrity sums up every page"
            } else if let obstacle = obstacle(to: block, index) {
                obstacles[index] = obstacle
            } else {
                try add(block, index)
            }
        }
    }

    private func obstacle(to block: RAMBlock, _ index: Int) -> String? {
        // Both ends: the last part may not be whole blocks of the file system.
        let step = min(block.byteCount, Self.stepPageCount * targetPageByteCount)
        do throws(SystemCallError) {
            try writer.share(0..<step, of: block, index: index)
            try writer.share(block.byteCount - step..<block.byteCount, of: block, index: index)
            return nil
        } catch {
            return "\(error)"
        }
    }

    private func add(_ block: RAMBlock, _ index: Int) throws(StreamError) {
        do {
            blocks[index] = Block(
                ram: block,
                client: try block.tracking.begin(),
                stale: PageBitmap(pageCount: block.pageCount, repeating: true)
            )
        } catch {
            throw StreamError(.transport, error.message, hint: error.hint)
        }
    }

    /// Whether a block isn't to be written.
    func includes(_ block: RAMBlock) -> Bool {
        blocks.values.contains { $0.ram === block }
    }

    /// Gets most of the work done while the guest runs: what is left for `complete` takes about as
    /// long as the last time here.
    func prepare() throws(StreamError) {
        for _ in 0..<Self.preparationLimit where transfer.orders.isGuestLive {
            let start = ContinuousClock.now
            try share()
            let allowed = Duration.milliseconds(transfer.orders.limits.downtime)
            if start.duration(to: .now) < allowed { return }
        }
    }

    /// Shares the blocks as they are now; the guest is stopped.
    func complete() throws(StreamError) {
        try share()
        for (index, block) in blocks {
            do {
                try writer.markShared(block.ram, index: index)
            } catch {
                throw explain(error, index)
            }
            block.client.end()
        }
    }

    /// Shares what was written since the last time.
    private func share() throws(StreamError) {
        for index in blocks.keys.sorted() {
            guard var block = blocks[index] else { continue }
            do {
                _ = try block.client.collect(into: &block.stale)
            } catch {
                throw StreamError(.transport, error.message, hint: error.hint)
            }
            for start in stride(from: 0, to: block.ram.pageCount, by: Self.stepPageCount) {
                let pages = start..<min(start + Self.stepPageCount, block.ram.pageCount)
                guard block.stale.nextRun(from: start, before: pages.upperBound) != nil else {
                    continue
                }
                try transfer.checkCancel()
                let bytes =
                    start * targetPageByteCount..<pages.upperBound * targetPageByteCount
                do {
                    try writer.share(bytes, of: block.ram, index: index)
                } catch {
                    throw explain(error, index)
                }
                block.stale.set(pages, to: false)
            }
            blocks[index] = block
        }
    }

    private func explain(_ error: SystemCallError, _ index: Int) -> StreamError {
        StreamError(
            .transport,
            "RAM block '\(transfer.plan.blocks[index].id)': \(error)",
            hint: "set x-mapped-ram-save to copy"
        )
    }

    /// What was done with each block.
    var record: MappedRAMImage {
        MappedRAMImage(
            image: "\(transfer.plan.address)",
            blocks: transfer.plan.blocks.enumerated().map { index, block in
                let count = writer.presentPageCount(ofBlock: index)
                return MappedRAMBlock(
                    block: block.id,
                    size: UInt64(block.byteCount),
                    present: UInt64(count) * UInt64(targetPageByteCount),
                    means: blocks[index] != nil ? .shared : .copied,
                    reason: obstacles[index]
                )
            }
        )
    }
}
