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

    var phase = Phase.preparing
    var blocks: [ProtectedBlock]
    /// nil once closed, which wakes who still waits.
    var userfaultfd: Userfaultfd?
    var failure: DirtyTrackingError?
    var counters = SnapshotCounters()

    /// Pieces that were copied aside, oldest first.
    private var ready = Queue<SnapshotPiece>()
    /// Granules that writers wait for, and for which there was no buffer.
    private var wanted = Queue<Place>()
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
            try save(Place(block: index, granule: granule), userfaultfd)
        case .ended:
            let page = offset / blocks[index].mapping.pageByteCount
            let start = page * blocks[index].mapping.pageByteCount
            // Fails where the protection is lifted already, and then nobody waits for long.
            try? userfaultfd.release(blocks[index].mapping, start..<start + 1)
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
    private mutating func save(
        _ place: Place,
        _ userfaultfd: Userfaultfd
    ) throws(SystemCallError) {
        let mapping = blocks[place.block].mapping
        let bytes = blocks[place.block].bytes(of: place.granule)
        switch blocks[place.block].fate(of: place.granule) {
        case .taken:
            // The saver has it, and lets it go in a moment.
            return
        case .waiting where blocks[place.block].hasContent(place.granule):
            guard let buffer = unsafe takeBuffer() else {
                counters.waitsForSaver += 1
                wanted.append(place)
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
        while let place = wanted.popFirst() {
            if let choice = take(place) { return choice }
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

    private mutating func takeBuffer() -> UnsafeMutableRawPointer? {
        if let buffer = unsafe freeBuffers.popLast() { return unsafe buffer }
        let count = unsafe buffers.count
        guard (count + 1) * bufferByteCount <= Self.poolByteCount else { return nil }
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

    mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head]
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: true)
            head = 0
        }
        return element
    }
}
