import BerthSystem
import BerthTransport
import Synchronization

/// Threads that move pieces of memory to or from their places in a file, while their owner looks
/// for more.
///
/// Function: a piece that was handed over is moved later, at the latest when `settle` returns, and
/// in any order. The first failure is thrown by the next call, whichever it is.
@safe
final class FileThreads {
    /// Which way pieces are moved.
    enum Direction {
        case toFile, fromFile
    }

    /// A piece of memory and its place in the file.
    ///
    /// @unchecked: the owner leaves the memory in place until `settle` returns.
    @safe
    private struct Piece: @unchecked Sendable {
        let base: UnsafeMutableRawPointer
        let byteCount: Int
        let place: UInt64
    }

    /// Bytes that have been moved.
    private final class Counter: Sendable {
        let byteCount = Atomic<UInt64>(0)
    }

    /// Enough that a thread that is done finds more to do; each piece is large.
    private static let pieceCountPerThread = 4

    private let queue: BoundedQueue<Piece>
    private let failure: FirstFailure
    private let moved: Counter
    private var threads: [NamedThread] = []

    /// Starts one thread for each channel; a channel may be given several times.
    ///
    /// - Throws: `StreamError` if the system has no thread left.
    init(_ channels: [Channel], _ direction: Direction) throws(StreamError) {
        let queue = BoundedQueue<Piece>(capacity: channels.count * Self.pieceCountPerThread)
        let failure = FirstFailure()
        self.queue = queue
        self.failure = failure
        let moved = Counter()
        self.moved = moved
        for channel in channels {
            do {
                threads.append(
                    try NamedThread.start(name: "berth-file") {
                        Self.work(queue, channel, direction, failure, moved)
                    }
                )
            } catch {
                end()
                throw StreamError(.transport, "cannot use several threads: \(error)")
            }
        }
    }

    deinit { end() }

    private static func work(
        _ queue: BoundedQueue<Piece>,
        _ channel: Channel,
        _ direction: Direction,
        _ failure: FirstFailure,
        _ moved: Counter
    ) {
        var follower = NUMANodes.Follower()
        while let piece = queue.take() {
            unsafe follower.follow(piece.base)
            do throws(StreamError) {
                try move(piece, channel, direction)
                moved.byteCount.add(UInt64(piece.byteCount), ordering: .relaxed)
            } catch {
                _ = failure.note(error)
                queue.close(discardsRest: true)
            }
            queue.done()
        }
    }

    private static func move(
        _ piece: Piece,
        _ channel: Channel,
        _ direction: Direction
    ) throws(StreamError) {
        let bytes = unsafe UnsafeMutableRawBufferPointer(start: piece.base, count: piece.byteCount)
        switch direction {
        case .fromFile:
            unsafe try channel.readExactly(bytes, at: piece.place, "a page")
        case .toFile:
            do {
                unsafe try channel.write(at: piece.place, UnsafeRawBufferPointer(bytes))
            } catch {
                throw StreamError(error)
            }
        }
    }

    /// Bytes that have been moved; what only was handed over doesn't count.
    var movedByteCount: UInt64 { moved.byteCount.load(ordering: .relaxed) }

    /// Hands a piece over; waits while the threads have enough to do.
    func move(
        _ base: UnsafeMutableRawPointer,
        byteCount: Int,
        place: UInt64
    ) throws(StreamError) {
        guard unsafe !queue.put(Piece(base: base, byteCount: byteCount, place: place)) else {
            return
        }
        try failure.check()
        throw StreamError(.aborted, "the threads have ended")
    }

    /// Waits until everything that was handed over has been moved.
    func settle() throws(StreamError) {
        queue.waitUntilIdle()
        try failure.check()
    }

    /// Ends the threads; what they have not begun is dropped.
    func end() {
        queue.close(discardsRest: true)
        for thread in threads { thread.join() }
        threads = []
    }
}

extension Channel {
    /// Reads as many bytes as the buffer has.
    ///
    /// - Parameter what: what is read, for the error.
    /// - Throws: `StreamError`, `.truncated` if the file ends before.
    func readExactly(
        _ target: UnsafeMutableRawBufferPointer,
        at place: UInt64,
        _ what: @autoclosure () -> String
    ) throws(StreamError) {
        let count: Int
        do {
            count = unsafe try read(at: place, into: target)
        } catch {
            throw StreamError(error)
        }
        guard count == target.count else {
            throw StreamError(
                .truncated,
                "the file ends inside \(what())",
                at: place + UInt64(count),
                hint: StreamReader.cutOffHint
            )
        }
    }
}
