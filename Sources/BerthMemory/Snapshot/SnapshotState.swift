import BerthSystem

/// The state of a `MemorySnapshot`, and what happens to it under its lock.
@safe
struct SnapshotState: Sendable {
    /// Where the snapshot is.
    enum Phase {
        /// Writers run; protection is being put in place.
        case preparing
        /// Writers run, and what they write has to be protected again.
        case prepared
        /// The instant has been.
        case sealed
        /// All is lifted.
        case ended
    }

    /// A granule of a block.
    struct Place {
        let block: Int
        let granule: Int
    }

    /// A granule that a writer waits for.
    private struct Wish {
        let place: Place
        /// When it is copied aside if the saver hasn't come to it.
        var deadline: ContinuousClock.Instant
    }

    /// What the saver does next.
    enum Choice {
        /// Hands out a piece that is complete.
        case give(SnapshotPiece)
        /// Copies a granule and lets it go.
        case copy(Place)
        /// Nothing is left.
        case nothing
    }

    /// Bytes in all buffers together.
    private static let poolByteCount = 32 << 20
    /// How long a writer waits for the saver before its granule gets one of the last buffers.
    ///
    /// A file system makes its writer wait for a tenth of a second now and then. At this rate, and
    /// twice that for the last quarter, half of the buffers last for 192 ms of one thread's writes,
    /// none of which waits longer than this.
    private static let patience = Duration.milliseconds(2)

    var phase = Phase.preparing
    var blocks: [ProtectedBlock]
    /// nil once closed, which wakes who still waits.
    var userfaultfd: Userfaultfd?
    var failure: DirtyTrackingError?
    var counters = SnapshotCounters()

    /// Pieces that were copied aside, oldest first.
    private var ready = Queue<SnapshotPiece>()
    /// Granules that writers wait for, while buffers are short; the saver copies those first.
    private var wanted = Queue<Wish>()
    private var cursor = Place(block: 0, granule: 0)

    private let bufferByteCount: Int
    // SAFETY: a free buffer is touched by nobody; one that isn't belongs to a piece.
    /// All buffers, and those of them that are free.
    private nonisolated(unsafe) var buffers: [UnsafeMutableRawPointer] = unsafe []
    private nonisolated(unsafe) var freeBuffers: [UnsafeMutableRawPointer] = unsafe []

    init(_ blocks: [ProtectedBlock], _ userfaultfd: Userfaultfd) {
        self.blocks = blocks
        self.userfaultfd = userfaultfd
        bufferByteCount = blocks.map(\.granuleByteCount).max() ?? 0
    }

    // MARK: the fault thread

    /// Lets the writer that waits at `address` go on, as soon as may be.
    mutating func serve(_ address: UInt) throws(SystemCallError) {
        guard let userfaultfd, let (index, offset) = find(address) else { return }
        switch phase {
        case .preparing, .prepared:
            counters.faultsWhilePreparing += 1
            try blocks[index].letGo(at: offset, userfaultfd)
        case .sealed:
            counters.faults += 1
            let granule = offset / blocks[index].granuleByteCount
            try save(
                Place(block: index, granule: granule),
                userfaultfd,
                reserve: bufferLimit / 2
            )
        case .ended:
            let page = offset / blocks[index].mapping.pageByteCount
            let start = page * blocks[index].mapping.pageByteCount
            // Fails where the protection is lifted already, and then nobody waits for long.
            try? userfaultfd.release(blocks[index].mapping, start..<start + 1)
        }
    }

    /// How long from now on until `serveOverdue` has something to do; nil if nobody waits.
    var timeToDeadline: Duration? {
        wanted.first.map { max(.zero, ContinuousClock.now.duration(to: $0.deadline)) }
    }

    /// Lets writers go on that have waited long enough for the saver.
    mutating func serveOverdue() throws(SystemCallError) {
        guard phase == .sealed, let userfaultfd else { return }
        let now = ContinuousClock.now
        // Those that find no buffer are put back behind the others.
        var count = wanted.count
        while count > 0, let wish = wanted.first, wish.deadline <= now {
            count -= 1
            wanted.removeFirst()
            try save(wish.place, userfaultfd, reserve: 0)
        }
    }

    private func find(_ address: UInt) -> (block: Int, offset: Int)? {
        for (index, block) in blocks.enumerated() {
            let base = unsafe UInt(bitPattern: block.mapping.base)
            let byteCount = unsafe UInt(block.mapping.pages.count)
            let offset = address &- base
            if offset < byteCount { return (index, Int(offset)) }
        }
        return nil
    }

    /// Copies a granule aside that a writer waits for, and lets it go.
    ///
    /// - Parameter reserve: the granule waits for the saver if no more buffers than these are free.
    private mutating func save(
        _ place: Place,
        _ userfaultfd: Userfaultfd,
        reserve: Int
    ) throws(SystemCallError) {
        let mapping = blocks[place.block].mapping
        let bytes = blocks[place.block].bytes(of: place.granule)
        switch blocks[place.block].fate(of: place.granule) {
        case .taken:
            // The saver has it, and lets it go in a moment.
            return
        case .waiting where blocks[place.block].hasContent(place.granule):
            guard let buffer = unsafe takeBuffer(leaving: reserve) else {
                counters.waitsForSaver += 1
                wanted.append(Wish(place: place, deadline: .now + patience))
                return
            }
            let populated = blocks[place.block].populated
            unsafe ProtectedBlock.copy(mapping, bytes, populated, to: buffer)
            counters.copiesAside += 1
            blocks[place.block].set(.done, of: place.granule)
            let piece = unsafe SnapshotPiece(
                block: place.block,
                offset: bytes.lowerBound,
                byteCount: bytes.count,
                address: buffer,
                isPooled: true
            )
            ready.append(piece)
        case .waiting, .done:
            // Nothing in it is worth keeping, or it is kept.
            break
        }
        try userfaultfd.release(mapping, bytes)
    }

    // MARK: the saver

    /// Chooses what is given out next: first what a writer waits for.
    mutating func choose() -> Choice {
        while let wish = wanted.popFirst() {
            if let choice = take(wish.place) { return choice }
        }
        if let piece = ready.popFirst() { return .give(piece) }
        while cursor.block < blocks.count {
            guard cursor.granule < blocks[cursor.block].granuleCount else {
                cursor = Place(block: cursor.block + 1, granule: 0)
                continue
            }
            if let zeros = takeZeros() { return .give(zeros) }
            let place = cursor
            cursor = Place(block: place.block, granule: place.granule + 1)
            if let choice = take(place) { return choice }
        }
        return .nothing
    }

    private mutating func take(_ place: Place) -> Choice? {
        guard blocks[place.block].fate(of: place.granule) == .waiting else { return nil }
        blocks[place.block].set(.taken, of: place.granule)
        return .copy(place)
    }

    /// The granules from the cursor on that have no content, as one piece; nil if there is none.
    private mutating func takeZeros() -> SnapshotPiece? {
        let block = blocks[cursor.block]
        let start = cursor.granule
        var end = start
        while end < block.granuleCount, !block.hasContent(end) { end += 1 }
        guard end > start else { return nil }
        cursor = Place(block: cursor.block, granule: end)
        let offset = block.bytes(of: start).lowerBound
        return unsafe SnapshotPiece(
            block: cursor.block,
            offset: offset,
            byteCount: block.bytes(of: end - 1).upperBound - offset,
            address: nil,
            isPooled: false
        )
    }

    // MARK: buffers

    /// Number of buffers that there may be.
    private var bufferLimit: Int {
        bufferByteCount > 0 ? max(2, Self.poolByteCount / bufferByteCount) : 0
    }

    /// Buffers that could be taken.
    private var freeBufferCount: Int {
        unsafe freeBuffers.count + bufferLimit - buffers.count
    }

    /// How long a writer is to wait now.
    private var patience: Duration {
        freeBufferCount > bufferLimit / 4 ? Self.patience : Self.patience * 2
    }

    private mutating func takeBuffer(leaving reserve: Int) -> UnsafeMutableRawPointer? {
        guard freeBufferCount > reserve else { return nil }
        if let buffer = unsafe freeBuffers.popLast() { return unsafe buffer }
        let buffer = UnsafeMutableRawPointer.allocate(
            byteCount: bufferByteCount,
            alignment: MemoryMapping.hostPageByteCount
        )
        unsafe buffers.append(buffer)
        return unsafe buffer
    }

    /// Takes a buffer back.
    mutating func recycle(_ buffer: UnsafeMutableRawPointer) {
        unsafe freeBuffers.append(buffer)
    }

    /// Frees all buffers; no piece may be in use any more.
    mutating func freeBuffersAndPieces() {
        while let buffer = unsafe buffers.popLast() { unsafe buffer.deallocate() }
        unsafe freeBuffers = []
        ready = Queue()
    }
}

/// First in, first out, both in constant time on average.
private struct Queue<Element: Sendable>: Sendable {
    private var elements: [Element] = []
    private var head = 0

    mutating func append(_ element: Element) {
        elements.append(element)
    }

    var count: Int { elements.count - head }

    var first: Element? { head < elements.count ? elements[head] : nil }

    mutating func popFirst() -> Element? {
        guard let element = first else { return nil }
        removeFirst()
        return element
    }

    mutating func removeFirst() {
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: true)
            head = 0
        }
    }
}
