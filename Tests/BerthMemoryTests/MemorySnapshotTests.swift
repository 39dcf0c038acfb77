import BerthMemory
import BerthSystem
import BerthTestSupport
import Glibc
import Testing

/// Memory as of one instant, read while writers go on.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct MemorySnapshotTests {
    /// Of five eighths of it, which the tests fill, all buffers of a snapshot can't hold everything,
    /// so that writers also have to wait for the saver.
    private static let byteCount = 64 << 20

    @Test(arguments: MemoryKind.allCases)
    func `what is given out is memory at the instant, whatever is written meanwhile`(
        _ kind: MemoryKind
    ) throws {
        guard let memory = try kind.makeBlock(byteCount: Self.byteCount) else { return }
        let block = memory.block
        // Some granules full, some with holes, some that nobody ever touched.
        block.fill { page in page % 512 < 300 && page % 3 != 1 }
        let snapshot = try MemorySnapshot([block])
        defer { snapshot.end() }
        let hammer = try Hammer(block)
        defer { hammer.end() }

        try snapshot.prepare()
        hammer.pause()
        try snapshot.seal()
        let expected = block.copy
        let writesBefore = hammer.writes
        hammer.resume()

        // Until a writer waits for the saver, all buffers being full.
        while snapshot.counters.waitsForSaver == 0 { usleep(100) }
        let reader = SnapshotReader(snapshot, [expected])
        try reader.readAll()
        #expect(reader.differences == [])
        #expect(reader.isComplete)
        #expect(snapshot.counters.copiesAside > 0)

        snapshot.end()
        hammer.end()
        #expect(hammer.writes > writesBefore)
        #expect(block.copy != expected, "the writers were held back for ever")
    }

    @Test(arguments: MemoryKind.allCases)
    func `what is first touched between the steps is in the snapshot`(_ kind: MemoryKind) throws {
        guard let memory = try kind.makeBlock(byteCount: 16 << 20) else { return }
        let block = memory.block
        let snapshot = try MemorySnapshot([block])
        defer { snapshot.end() }
        try snapshot.prepare()
        block.fill { $0 % 700 == 3 }
        try snapshot.seal()
        let expected = block.copy
        let writer = try Hammer(block, threadCount: 1)
        defer { writer.end() }
        while writer.writes < 100 { usleep(100) }
        let reader = SnapshotReader(snapshot, [expected])
        try reader.readAll()
        #expect(reader.differences == [])
        #expect(reader.isComplete)
        snapshot.end()
    }

    @Test(arguments: [MemoryKind.anonymousSmallPages, .anonymousHugePages, .memfd, .privateMemfd])
    func `memory that nobody touched is zero and stays untouched`(_ kind: MemoryKind) throws {
        let memory = try #require(try kind.makeBlock(byteCount: 64 << 20))
        let block = memory.block
        block.fill { $0 == 5000 }
        let snapshot = try MemorySnapshot([block])
        defer { snapshot.end() }
        try snapshot.prepare()
        try snapshot.seal()
        var contentByteCount = 0
        let reader = SnapshotReader(snapshot)
        while let piece = try reader.read() {
            if piece.bytes != nil { contentByteCount += piece.byteCount }
        }
        #expect(reader.isComplete(of: [block]))
        // The first touch may have brought a whole huge page.
        let huge = MemoryMapping.hugePageByteCount
        #expect(contentByteCount > 0 && contentByteCount <= huge)

        // Nothing was allocated by looking.
        var resident = [UInt8](repeating: 0, count: block.pageCount)
        #expect(mincore(block.base, block.byteCount, &resident) == 0)
        #expect(resident.count { $0 & 1 == 1 } <= huge / targetPageByteCount)
    }

    @Test func `several blocks make one snapshot, the last granule may be short`() throws {
        let sizes = [(1 << 20) + 3 * targetPageByteCount, targetPageByteCount, 300 << 10]
        let blocks = try sizes.map { try RAMBlock(id: "b\($0)", byteCount: $0) }
        for block in blocks { block.fill() }
        let snapshot = try MemorySnapshot(blocks)
        defer { snapshot.end() }
        try snapshot.prepare()
        try snapshot.seal()
        let reader = SnapshotReader(snapshot, blocks.map(\.copy))
        try reader.readAll()
        #expect(reader.differences == [])
        #expect(reader.isComplete)
    }

    @Test func `a snapshot of nothing is empty`() throws {
        let snapshot = try MemorySnapshot([])
        try snapshot.prepare()
        try snapshot.seal()
        #expect(try SnapshotReader(snapshot).read() == nil)
        snapshot.end()
    }
}

/// Reads a snapshot to its end and compares.
final class SnapshotReader {
    private let snapshot: MemorySnapshot
    private let expected: [[UInt8]]
    private let staging: UnsafeMutableRawBufferPointer
    private var seen: [Int: [Range<Int>]] = [:]

    /// Places that differ from what was expected.
    private(set) var differences: [String] = []

    init(_ snapshot: MemorySnapshot, _ expected: [[UInt8]] = []) {
        self.snapshot = snapshot
        self.expected = expected
        staging = .allocate(byteCount: snapshot.granuleByteCount, alignment: targetPageByteCount)
    }

    deinit { staging.deallocate() }

    func readAll() throws {
        while let piece = try read() {
            compare(piece)
            snapshot.recycle(piece)
        }
    }

    /// Takes a piece without comparing it.
    func read() throws(DirtyTrackingError) -> SnapshotPiece? {
        guard let piece = try snapshot.next(into: staging) else { return nil }
        seen[piece.block, default: []].append(piece.offset..<piece.offset + piece.byteCount)
        return piece
    }

    /// Whether every byte of the expected blocks was given out once.
    var isComplete: Bool { isComplete(byteCounts: expected.map(\.count)) }

    func isComplete(of blocks: [RAMBlock]) -> Bool {
        isComplete(byteCounts: blocks.map(\.byteCount))
    }

    private func isComplete(byteCounts: [Int]) -> Bool {
        byteCounts.enumerated().allSatisfy { index, byteCount in
            var end = 0
            for range in (seen[index] ?? []).sorted(by: { $0.lowerBound < $1.lowerBound }) {
                guard range.lowerBound == end else { return false }
                end = range.upperBound
            }
            return end == byteCount
        }
    }

    private func compare(_ piece: SnapshotPiece) {
        let isEqual = expected[piece.block].withUnsafeBytes { expected in
            guard let base = expected.baseAddress else { return false }
            let part = base + piece.offset
            if let bytes = piece.bytes?.baseAddress {
                return memcmp(bytes, part, piece.byteCount) == 0
            }
            return isZero(part, byteCount: piece.byteCount)
        }
        if !isEqual { differences.append("block \(piece.block) at \(piece.offset)") }
    }
}
