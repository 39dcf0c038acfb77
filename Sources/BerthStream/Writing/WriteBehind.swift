import BerthSystem
public import BerthTransport
import Glibc

/// Writes a file on a thread of its own, in large pieces past the page cache, while its owner goes
/// on.
///
/// Function: bytes are copied at once and written in the order in which they came, at the latest
/// when `flush` returns. The first failure is thrown by the next call, whichever it is. For files
/// that are written once and then made durable: what goes past the page cache needs no memory of
/// the system's, and no second trip to the disk. Small pieces, and what isn't whole pages, goes
/// through the page cache, and from there to the disk at once.
///
/// Owned by one thread. Nothing is allocated after `init` but for scattered pieces.
@safe
public final class WriteBehind {
    /// Bytes that belong at one place of the file.
    private struct Piece {
        /// Where they are in the batch: as far from the beginning of a page as in the file.
        var offset: Int
        var byteCount: Int
        var place: UInt64

        var end: UInt64 { place + UInt64(byteCount) }
    }

    /// Memory that is filled, then written.
    ///
    /// @unchecked: one thread has it at a time, the one that took it from a queue.
    @safe
    private final class Batch: @unchecked Sendable {
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: WriteBehind.batchByteCount,
            alignment: WriteBehind.alignment
        )
        var usedByteCount = 0
        var pieces: [Piece] = []

        deinit { unsafe memory.deallocate() }

        /// Takes as many of the bytes as there is room for.
        func append(_ bytes: UnsafeRawBufferPointer, at place: UInt64) -> Int {
            if let last = pieces.indices.last, pieces[last].end == place {
                let count = unsafe copy(bytes)
                pieces[last].byteCount += count
                return count
            }
            let alignment = WriteBehind.alignment
            let start = (usedByteCount + alignment - 1) / alignment * alignment
            usedByteCount = unsafe min(start + Int(place % UInt64(alignment)), memory.count)
            let piece = Piece(offset: usedByteCount, byteCount: 0, place: place)
            let count = unsafe copy(bytes)
            guard count > 0 else { return 0 }
            pieces.append(piece)
            pieces[pieces.count - 1].byteCount = count
            return count
        }

        private func copy(_ bytes: UnsafeRawBufferPointer) -> Int {
            let count = unsafe min(bytes.count, memory.count - usedByteCount)
            unsafe UnsafeMutableRawBufferPointer(rebasing: memory[usedByteCount...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            usedByteCount += count
            return count
        }

        func clear() {
            usedByteCount = 0
            pieces.removeAll(keepingCapacity: true)
        }
    }

    /// What a disk's sectors and the memory they come from are aligned to.
    private static let alignment = 4096
    /// A piece this large is written as fast past the page cache as through it.
    private static let directByteCount = 256 << 10
    /// Enough of the page cache's that the disk gets it in order and in large pieces.
    private static let writebackByteCount = 32 << 20
    /// Large enough for the disk's full speed.
    private static let batchByteCount = 2 << 20
    /// One is filled, one is written, one waits, so that neither side does.
    private static let batchCount = 3

    private let full = BoundedQueue<Batch>(capacity: batchCount)
    private let empty = BoundedQueue<Batch>(capacity: batchCount)
    private let failure: FirstFailure
    private let thread: NamedThread
    private var current: Batch?

    /// Starts the thread.
    ///
    /// - Parameter file: seekable, and open until this is gone; nobody else writes where this does
    ///   before `flush`.
    /// - Throws: `StreamError` if the system has no thread left.
    @available(*, noasync, message: "blocks its thread")
    public init(to file: Channel) throws(StreamError) {
        for _ in 0..<Self.batchCount { _ = empty.put(Batch()) }
        let failure = FirstFailure()
        self.failure = failure
        do {
            thread = try NamedThread.start(name: "berth-write") { [full, empty] in
                var target = Target(file: file)
                while let batch = full.take() {
                    do throws(TransportError) {
                        for piece in batch.pieces {
                            try unsafe target.write(piece, of: batch.memory)
                        }
                    } catch {
                        _ = failure.note(StreamError(error))
                        full.close(discardsRest: true)
                        empty.close(discardsRest: true)
                    }
                    batch.clear()
                    _ = empty.put(batch)
                    full.done()
                }
            }
        } catch {
            throw StreamError(.transport, "cannot use several threads: \(error)")
        }
    }

    /// Drops what hasn't been written.
    deinit {
        full.close(discardsRest: true)
        thread.join()
    }

    /// Takes bytes for a place of the file.
    ///
    /// - Throws: the failure of a write before.
    public func write(
        _ bytes: UnsafeRawBufferPointer,
        at place: UInt64
    ) throws(StreamError) {
        var done = 0
        while done < bytes.count {
            let batch = try writable()
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = unsafe batch.append(rest, at: place + UInt64(done))
            done += count
            if done < bytes.count { try handOver() }
        }
    }

    /// Takes bytes that lie in several pieces, for one place of the file.
    ///
    /// - Throws: the failure of a write before.
    func write(
        _ pieces: UnsafeMutableBufferPointer<iovec>,
        at place: UInt64
    ) throws(StreamError) {
        var place = place
        for index in pieces.indices {
            let bytes = unsafe UnsafeRawBufferPointer(
                start: pieces[index].iov_base,
                count: pieces[index].iov_len
            )
            unsafe try write(bytes, at: place)
            place += UInt64(bytes.count)
        }
    }

    /// Waits until all bytes have been written.
    ///
    /// - Throws: the failure of a write.
    public func flush() throws(StreamError) {
        try handOver()
        full.waitUntilIdle()
        try failure.check()
    }

    private func writable() throws(StreamError) -> Batch {
        if let current { return current }
        guard let batch = empty.take() else {
            try failure.check()
            throw StreamError(.aborted, "the thread that writes has ended")
        }
        empty.done()
        current = batch
        return batch
    }

    private func handOver() throws(StreamError) {
        guard let batch = current.take() else { return }
        guard full.put(batch) else {
            try failure.check()
            throw StreamError(.aborted, "the thread that writes has ended")
        }
    }

    /// The file as the thread sees it.
    private struct Target {
        let file: Channel
        /// The file once more, past the page cache; nil where that can't be.
        var direct: Channel?
        /// What went through the page cache since the disk was last told.
        var cachedByteCount = 0

        init(file: Channel) {
            self.file = file
            direct = file.openDirect()
        }

        mutating func write(
            _ piece: Piece,
            of memory: UnsafeMutableRawBufferPointer
        ) throws(TransportError) {
            let mask = WriteBehind.alignment - 1
            let start = (piece.offset + mask) & ~mask
            let end = (piece.offset + piece.byteCount) & ~mask
            guard end - start >= WriteBehind.directByteCount, let direct else {
                return unsafe try writeCached(piece.offset, piece.byteCount, piece, memory)
            }
            unsafe try writeCached(piece.offset, start - piece.offset, piece, memory)
            do throws(TransportError) {
                let place = piece.place + UInt64(start - piece.offset)
                unsafe try direct.write(
                    at: place,
                    UnsafeRawBufferPointer(rebasing: memory[start..<end])
                )
            } catch {
                // What the file has against it is said by the other way, if it is more than that.
                self.direct = nil
                unsafe try writeCached(start, end - start, piece, memory)
            }
            unsafe try writeCached(end, piece.offset + piece.byteCount - end, piece, memory)
        }

        private mutating func writeCached(
            _ offset: Int,
            _ byteCount: Int,
            _ piece: Piece,
            _ memory: UnsafeMutableRawBufferPointer
        ) throws(TransportError) {
            guard byteCount > 0 else { return }
            unsafe try file.write(
                at: piece.place + UInt64(offset - piece.offset),
                UnsafeRawBufferPointer(rebasing: memory[offset..<offset + byteCount])
            )
            // Whoever makes the file durable waits for the disk: better that it begins now.
            cachedByteCount += byteCount
            if cachedByteCount >= WriteBehind.writebackByteCount {
                cachedByteCount = 0
                file.startWriteback()
            }
        }
    }
}
