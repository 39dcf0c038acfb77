import BerthSystem
import Synchronization

/// The memory of a guest as of one instant, read while the guest runs on.
///
/// Overview: memory is write-protected with a synchronous userfaultfd. `prepare` does so while
/// writers run; `seal` completes it while they are paused, and that is the instant. Afterwards
/// `next` gives the memory out piece by piece, and what was given out is let go. A writer that meets
/// protection waits until the thread "berth-faults" has copied the granule aside, tens of
/// microseconds; such pieces are given out before others. Each byte is given out once.
///
/// Once half of the buffers are full, a writer waits until the saver comes to its granule, or a few
/// milliseconds. The other half is kept for times when the saver itself is held up by its file.
///
/// Function: pages that were never touched are zero; they are found without reading them, because
/// reading allocates. Writers in user mode are held back; a system call that writes protected memory
/// fails with `EFAULT`.
///
/// `end` must be called whatever happens: writers wait until then for what isn't given out.
public final class MemorySnapshot: Sendable {
    /// Bytes that are copied at once where pages are of normal size.
    ///
    /// Source: measured with a writer at full speed. Less means more faults, more means that each
    /// holds its writer longer.
    static let usualGranuleByteCount = 256 << 10

    /// The most bytes in a piece that isn't all zero: what `next` needs as staging.
    public let granuleByteCount: Int

    private let core: Core
    private let ending: Mutex<NamedThread?>

    /// What the fault thread works on; it must not keep the snapshot itself alive.
    private final class Core: Sendable {
        let state: Mutex<SnapshotState>
        let pageMap: PageMap
        let stop: WakeEvent

        init(
            _ state: SnapshotState,
            _ pageMap: PageMap,
            _ stop: WakeEvent
        ) {
            self.state = Mutex(state)
            self.pageMap = pageMap
            self.stop = stop
        }

        deinit {
            state.withLock { $0.freeBuffersAndPieces() }
        }
    }

    /// Gets ready to protect blocks; nothing is protected yet.
    ///
    /// - Throws: `DirtyTrackingError` if the memory can't be protected.
    public init(_ blocks: [RAMBlock]) throws(DirtyTrackingError) {
        granuleByteCount =
            blocks.map(\.mapping.pageByteCount).max().map { max($0, Self.usualGranuleByteCount) }
            ?? Self.usualGranuleByteCount
        let userfaultfd: Userfaultfd
        do {
            userfaultfd = try Userfaultfd(.synchronous)
        } catch {
            throw DirtyTrackingError(snapshot: error, of: nil)
        }
        for block in blocks {
            if let overlay = block.mapping.overlay {
                throw DirtyTrackingError(snapshotOf: overlay)
            }
            do {
                try unsafe userfaultfd.register(block.mapping.pages)
            } catch {
                throw DirtyTrackingError(snapshot: error, of: block.mapping)
            }
        }
        do {
            let state = SnapshotState(blocks.map(ProtectedBlock.init), userfaultfd)
            core = Core(state, try PageMap(), try WakeEvent())
        } catch {
            throw DirtyTrackingError(snapshot: error, of: nil)
        }
        ending = Mutex(nil)
        do {
            let thread = try NamedThread.start(name: "berth-faults") { [core] in
                Self.serveFaults(core, userfaultfd)
            }
            ending.withLock { $0 = thread }
        } catch {
            throw DirtyTrackingError("cannot hold back writes: \(error)")
        }
    }

    deinit {
        end()
    }

    /// What it has cost until now.
    public var counters: SnapshotCounters { core.state.withLock { $0.counters } }

    // MARK: before the instant

    /// Protects all memory, in steps, while writers run; what they write meanwhile is let go again.
    ///
    /// To be followed at once by a pause of all writers and by `seal`, which has the more to do the
    /// more is written in between.
    /// - Throws: `DirtyTrackingError` if the kernel refuses, or after `end`.
    public func prepare() throws(DirtyTrackingError) {
        try forEachStep { (block, step, userfaultfd, pageMap) throws(SystemCallError) in
            try block.protect(step, userfaultfd, pageMap)
            return 0
        }
        try findFileContent()
        // Each pass takes less time than the one before, so less is written during it.
        for _ in 0..<4 {
            let count = try forEachStep {
                (block, step, userfaultfd, pageMap) throws(SystemCallError) in
                try block.close(step, userfaultfd, pageMap)
            }
            if count < 64 { break }
        }
        try change(in: .preparing) { state, _ in
            state.phase = .prepared
        }
    }

    /// Finds what has content in files, which takes long where it is scattered: not under the lock.
    private func findFileContent() throws(DirtyTrackingError) {
        let blocks = core.state.withLock { $0.blocks.map { ($0.mapping, $0.populated.pageCount) } }
        for (index, (mapping, pageCount)) in blocks.enumerated() {
            let content: PageBitmap?
            do {
                content = try ProtectedBlock.fileContent(mapping, pageCount: pageCount)
            } catch {
                throw DirtyTrackingError("cannot find the content of memory: \(error)")
            }
            guard let content else { continue }
            try change(in: .preparing) { state, _ in state.blocks[index].insert(content) }
        }
    }

    /// Completes the protection; all writers are paused, and stay so until it returns.
    ///
    /// Memory as it is now is what `next` gives out.
    /// - Throws: `DirtyTrackingError` if the kernel refuses, or after `end`.
    public func seal() throws(DirtyTrackingError) {
        try change(in: .prepared) { (state, userfaultfd) throws(SystemCallError) in
            for index in state.blocks.indices {
                let all = unsafe 0..<state.blocks[index].mapping.pages.count
                state.counters.pagesSealed += try state.blocks[index].close(
                    all,
                    userfaultfd,
                    core.pageMap
                )
            }
            state.phase = .sealed
        }
    }

    /// Does something for each step of each block; writers that wait are served between steps.
    ///
    /// - Returns: the sum of what `body` returned.
    @discardableResult
    private func forEachStep(
        _ body: (inout ProtectedBlock, Range<Int>, Userfaultfd, PageMap) throws(SystemCallError) ->
            Int
    ) throws(DirtyTrackingError) -> Int {
        let steps = core.state.withLock { $0.blocks.map(\.steps) }
        var sum = 0
        for (index, steps) in steps.enumerated() {
            for step in steps {
                sum += try change(in: .preparing) { (state, userfaultfd) throws(SystemCallError) in
                    try body(&state.blocks[index], step, userfaultfd, core.pageMap)
                }
            }
        }
        return sum
    }

    // MARK: after the instant

    /// The next piece of memory as it was at the instant: first what a writer waits or waited for,
    /// then in order.
    ///
    /// For one thread only. The piece's bytes are valid until it is given to `recycle`, or, if they
    /// are in `staging`, until the next call.
    ///
    /// - Parameter staging: at least `granuleByteCount` bytes, page-aligned.
    /// - Returns: nil if all was given out.
    /// - Throws: `DirtyTrackingError` before `seal`, after `end`, or if the kernel refused to let a
    ///   writer go on.
    public func next(
        into staging: UnsafeMutableRawBufferPointer
    ) throws(DirtyTrackingError) -> SnapshotPiece? {
        guard let target = staging.baseAddress, staging.count >= granuleByteCount else {
            throw DirtyTrackingError("cannot read a snapshot into \(staging.count) bytes")
        }
        let choice = try change(in: .sealed) { state, _ in
            state.choose()
        }
        guard case .copy(let place) = choice else {
            if case .give(let piece) = choice { return piece }
            return nil
        }
        let (mapping, bytes, populated, userfaultfd) = try change(in: .sealed) {
            state,
            userfaultfd in
            let block = state.blocks[place.block]
            return (block.mapping, block.bytes(of: place.granule), block.populated, userfaultfd)
        }
        unsafe ProtectedBlock.copy(mapping, bytes, populated, to: target)
        try change(in: .sealed) { (state, _) throws(SystemCallError) in
            // Only now it is certain that the protection was in place during the copy.
            try userfaultfd.release(mapping, bytes)
            state.blocks[place.block].set(.done, of: place.granule)
        }
        return unsafe SnapshotPiece(
            block: place.block,
            offset: bytes.lowerBound,
            byteCount: bytes.count,
            address: target,
            isPooled: false
        )
    }

    /// Takes a piece's buffer back, once its bytes aren't needed any more.
    public func recycle(_ piece: SnapshotPiece) {
        guard piece.isPooled else { return }
        core.state.withLock { state in
            if let buffer = unsafe piece.address { unsafe state.recycle(buffer) }
        }
    }

    /// Lifts all protection and lets all writers go on; from any thread, any number of times.
    ///
    /// A call of another thread that is under way fails.
    @available(*, noasync, message: "blocks its thread")
    public func end() {
        ending.withLock { thread in
            let (userfaultfd, blocks) = core.state.withLock { state in
                state.phase = .ended
                return (state.userfaultfd, state.blocks.map(\.mapping))
            }
            guard let userfaultfd else { return }
            for mapping in blocks { userfaultfd.forget(mapping) }
            core.stop.signal()
            thread?.join()
            thread = nil
            // The last reference: closing it wakes who has met protection and not been served.
            core.state.withLock { $0.userfaultfd = nil }
        }
    }

    /// Changes the state in one of its phases.
    private func change<Result>(
        in phase: SnapshotState.Phase,
        _ body: (inout SnapshotState, Userfaultfd) throws(SystemCallError) -> Result
    ) throws(DirtyTrackingError) -> Result {
        try core.state.withLock { state throws(DirtyTrackingError) in
            if let failure = state.failure { throw failure }
            guard state.phase == phase, let userfaultfd = state.userfaultfd else {
                throw DirtyTrackingError(
                    state.phase == .ended
                        ? "the snapshot was ended before it was complete"
                        : "the snapshot's steps are out of order"
                )
            }
            do {
                return try body(&state, userfaultfd)
            } catch {
                throw DirtyTrackingError("cannot hold back writes: \(error)")
            }
        }
    }

    /// The fault thread.
    private static func serveFaults(_ core: Core, _ userfaultfd: Userfaultfd) {
        NamedThread.preferShortTurns()
        var addresses = [UInt](repeating: 0, count: 16)
        while true {
            do {
                let outcome = try Poll.wait(
                    for: userfaultfd.raw,
                    .input,
                    abort: core.stop,
                    timeout: core.state.withLock { $0.timeToDeadline }
                )
                guard outcome != .aborted else { return }
                let count = outcome == .ready ? userfaultfd.readFaults(into: &addresses) : 0
                for address in addresses.prefix(count) {
                    try core.state.withLock { state throws(SystemCallError) in
                        try state.serve(address)
                    }
                }
                try core.state.withLock { state throws(SystemCallError) in
                    try state.serveOverdue()
                }
            } catch {
                // Writers wait until `end`, which the failure brings about.
                core.state.withLock { state in
                    state.failure = DirtyTrackingError("cannot let writers go on: \(error)")
                }
                return
            }
        }
    }
}
