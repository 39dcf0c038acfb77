import BerthMemory
import BerthStream

/// The pages of a guest that are still to be sent, and where sending is.
///
/// Owned by the data thread.
struct DirtyPages {
    private let blocks: [RAMBlock]
    /// Each block's tracking; nil for a block that isn't sent.
    private let clients: [DirtyClient?]
    private var bitmaps: [PageBitmap]
    private var block = 0
    private var page = 0

    /// Pages that are known to be dirty and were not sent since.
    private(set) var pendingCount: UInt64
    /// Whether every block has been gone through once.
    private(set) var hasWrapped = false

    /// Begins: every page is dirty, and writes are noted from now on.
    ///
    /// - Parameter isLeftOut: blocks whose pages aren't sent.
    /// - Throws: `StreamError` that says why writes to a block can't be found.
    init(_ blocks: [RAMBlock], isLeftOut: (RAMBlock) -> Bool) throws(StreamError) {
        self.blocks = blocks
        var clients: [DirtyClient?] = []
        var bitmaps: [PageBitmap] = []
        for block in blocks {
            let isSent = !isLeftOut(block)
            do {
                clients.append(isSent ? try block.tracking.begin() : nil)
            } catch {
                clients.forEach { $0?.end() }
                throw StreamError(.transport, error.message, hint: error.hint)
            }
            bitmaps.append(PageBitmap(pageCount: block.pageCount, repeating: isSent))
        }
        self.clients = clients
        self.bitmaps = bitmaps
        pendingCount = bitmaps.reduce(0) { $0 + UInt64($1.count) }
    }

    /// Ends the tracking of writes.
    func end() {
        clients.forEach { $0?.end() }
    }

    /// Takes in what was written since the last call.
    ///
    /// - Returns: how many pages became dirty by it.
    mutating func collect() throws(StreamError) -> UInt64 {
        var found: UInt64 = 0
        for (index, client) in clients.enumerated() {
            guard let client else { continue }
            do {
                found += UInt64(try client.collect(into: &bitmaps[index]))
            } catch {
                throw StreamError(.transport, error.message, hint: error.hint)
            }
        }
        pendingCount += found
        return found
    }

    /// Sends up to `limit` dirty pages from where the last call stopped, around once at most.
    mutating func send(
        limit: Int,
        by sender: any PageSender,
        to writer: any GuestWriter
    ) throws(StreamError) -> SentPages {
        var sent = SentPages()
        var visits = 0
        while sent.count < limit, visits <= blocks.count, pendingCount > UInt64(sent.count) {
            guard block < blocks.count else {
                block = 0
                page = 0
                hasWrapped = true
                try writer.endPass()
                continue
            }
            sent += try sender.send(
                blocks[block],
                index: block,
                dirty: &bitmaps[block],
                from: &page,
                limit: limit - sent.count,
                to: writer
            )
            if page >= blocks[block].pageCount {
                block += 1
                page = 0
                visits += 1
            }
        }
        pendingCount -= UInt64(sent.count)
        if pendingCount == 0 {
            // Nothing is left before the position either: the round is over.
            hasWrapped = true
        }
        return sent
    }
}
