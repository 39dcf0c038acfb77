import BerthMemory
import BerthStream
import BerthSystem

/// Saves a guest's memory as of one instant, while the guest runs on: a background snapshot.
///
/// Function: memory is write-protected while the guest still runs; the guest is held for the moment
/// that it takes to make that complete, and goes on. From then on pages that it wants to write are
/// copied aside and let go at once, and saved before others. Each page is saved once.
final class SnapshotTransfer {
    private let transfer: OutgoingTransfer
    private let blocks: [RAMBlock]
    private let snapshot: MemorySnapshot
    private let scanner: GuestScanner

    /// Pieces in a part of the RAM section: 16 MiB, after which a reader sees how far it is.
    private static let partPieceCount = 64

    init(_ transfer: OutgoingTransfer) throws(StreamError) {
        self.transfer = transfer
        blocks = transfer.plan.blocks
        scanner = GuestScanner(detectsZeroPages: transfer.plan.detectsZeroPages)
        do {
            snapshot = try MemorySnapshot(blocks)
        } catch {
            throw StreamError(.transport, error.message, hint: error.hint)
        }
    }

    /// Does all of it.
    func run() throws(StreamError) {
        // Whatever happens, nobody may be left waiting for a page.
        defer { snapshot.end() }
        NamedThread.giveWay()
        let total = blocks.reduce(0) { $0 + UInt64($1.pageCount) }
        transfer.statistics.update { $0.remainingPageCount = total }
        try transfer.becomeActive()
        try explained { () throws(DirtyTrackingError) in try snapshot.prepare() }
        try transfer.awaitGuest()
        try explained { () throws(DirtyTrackingError) in try snapshot.seal() }
        transfer.report(.instantTaken)
        try save()
        snapshot.end()
        try transfer.finish(closesMemory: false)
    }

    private func save() throws(StreamError) {
        let staging = UnsafeMutableRawBufferPointer.allocate(
            byteCount: snapshot.granuleByteCount,
            alignment: MemoryMapping.hostPageByteCount
        )
        defer { unsafe staging.deallocate() }
        var pieceCount = 0
        while let piece = unsafe try next(into: staging) {
            try transfer.checkCancel()
            if pieceCount % Self.partPieceCount == 0 {
                if pieceCount > 0 { try transfer.writer.endIteration() }
                try transfer.writer.beginIteration()
            }
            pieceCount += 1
            try save(piece)
            // The buffer is about to be used again.
            try transfer.writer.settle()
            snapshot.recycle(piece)
            transfer.count()
        }
        if pieceCount > 0 { try transfer.writer.endIteration() }
    }

    private func save(_ piece: SnapshotPiece) throws(StreamError) {
        var sent = SentPages()
        if let bytes = unsafe piece.bytes?.baseAddress {
            sent = unsafe try scanner.send(
                bytes,
                byteCount: piece.byteCount,
                block: piece.block,
                offset: piece.offset,
                to: transfer.writer
            )
        } else {
            try transfer.writer.zero(
                block: piece.block,
                offset: piece.offset,
                byteCount: piece.byteCount
            )
            sent.zeroCount = piece.byteCount / targetPageByteCount
        }
        transfer.account(sent, isStopped: false)
    }

    private func next(
        into staging: UnsafeMutableRawBufferPointer
    ) throws(StreamError) -> SnapshotPiece? {
        do {
            return unsafe try snapshot.next(into: staging)
        } catch {
            throw StreamError(.transport, error.message, hint: error.hint)
        }
    }

    private func explained(
        _ body: () throws(DirtyTrackingError) -> Void
    ) throws(StreamError) {
        do {
            try body()
        } catch {
            throw StreamError(.transport, error.message, hint: error.hint)
        }
    }
}
