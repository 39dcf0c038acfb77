import BerthMemory
import BerthSystem
import BerthTestSupport
import Glibc
import Synchronization
import Testing

/// Snapshots that end early, steps out of order, memory that can't be protected.
///
/// Nobody may be left waiting: each of these tests would hang.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct SnapshotFailureTests {
    private let block: RAMBlock

    init() throws {
        block = try RAMBlock(id: "ram", byteCount: 40 << 20)
        block.fill()
    }

    /// A snapshot whose buffers are full, so that writers of the hammer wait.
    private func stuckSnapshot() throws -> (MemorySnapshot, Hammer) {
        let snapshot = try MemorySnapshot([block])
        let hammer = try Hammer(block)
        try snapshot.prepare()
        hammer.pause()
        try snapshot.seal()
        hammer.resume()
        while snapshot.counters.waitsForSaver == 0 { usleep(100) }
        return (snapshot, hammer)
    }

    @Test func `an end lets writers go on that wait`() throws {
        let (snapshot, hammer) = try stuckSnapshot()
        snapshot.end()
        let writes = hammer.writes
        while hammer.writes < writes + 1000 { usleep(100) }
        hammer.end()
        #expect(hammer.hasEnded)
        snapshot.end()
    }

    @Test func `a snapshot that is forgotten lets writers go on`() throws {
        let hammer = try stuckSnapshot().1
        hammer.end()
        #expect(hammer.hasEnded)
    }

    @Test func `pieces in use and pieces never read don't hold writers up`() throws {
        let (snapshot, hammer) = try stuckSnapshot()
        let reader = SnapshotReader(snapshot)
        for _ in 0..<5 { #expect(try reader.read() != nil) }
        snapshot.end()
        hammer.end()
        #expect(hammer.hasEnded)
    }

    @Test func `nothing can be read after the end`() throws {
        let snapshot = try MemorySnapshot([block])
        let reader = SnapshotReader(snapshot)
        try snapshot.prepare()
        try snapshot.seal()
        #expect(try reader.read() != nil)
        snapshot.end()
        let ended = DirtyTrackingError("the snapshot was ended before it was complete")
        #expect(throws: ended) { try reader.read() }
        #expect(throws: ended) { try snapshot.prepare() }
        #expect(throws: ended) { try snapshot.seal() }
    }

    @Test func `an end while another thread reads makes its read fail`() throws {
        let snapshot = try MemorySnapshot([block])
        try snapshot.prepare()
        try snapshot.seal()
        let observed = Observed()
        let thread = try NamedThread.start(name: "reader") {
            let reader = SnapshotReader(snapshot)
            do throws(DirtyTrackingError) {
                // Slowly: it can't be through before the end comes.
                while try reader.read() != nil {
                    observed.readCount.add(1, ordering: .relaxed)
                    usleep(10_000)
                }
            } catch {
                observed.error.withLock { $0 = error }
            }
        }
        while observed.readCount.load(ordering: .relaxed) == 0 { usleep(100) }
        snapshot.end()
        thread.join()
        #expect(observed.error.withLock { $0 } != nil)
    }

    private final class Observed: Sendable {
        let readCount = Atomic(0)
        let error = Mutex<DirtyTrackingError?>(nil)
    }

    @Test func `steps out of order are errors`() throws {
        let snapshot = try MemorySnapshot([block])
        defer { snapshot.end() }
        let reader = SnapshotReader(snapshot)
        let outOfOrder = DirtyTrackingError("the snapshot's steps are out of order")
        #expect(throws: outOfOrder) { try snapshot.seal() }
        #expect(throws: outOfOrder) { try reader.read() }
        try snapshot.prepare()
        #expect(throws: outOfOrder) { try snapshot.prepare() }
        #expect(throws: outOfOrder) { try reader.read() }
        try snapshot.seal()
        #expect(throws: outOfOrder) { try snapshot.seal() }
        #expect(try reader.read() != nil)
    }

    @Test func `staging that is too small is an error`() throws {
        let snapshot = try MemorySnapshot([block])
        defer { snapshot.end() }
        try snapshot.prepare()
        try snapshot.seal()
        let small = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
        defer { small.deallocate() }
        #expect(throws: DirtyTrackingError.self) { try snapshot.next(into: small) }
    }

    @Test func `memory is in one snapshot at a time, and free after it`() throws {
        #expect(block.obstacleToSnapshot == nil)
        let first = try MemorySnapshot([block])
        #expect(throws: DirtyTrackingError.self) { try MemorySnapshot([block]) }
        let message = block.obstacleToSnapshot?.message ?? ""
        #expect(message.contains("tracked or held back already"))
        first.end()
        #expect(block.obstacleToSnapshot == nil)
        try MemorySnapshot([block]).end()
    }

    @Test(arguments: [true, false])
    func `a file on disk can't be protected, and the error says what can`(
        _ isShared: Bool
    ) throws {
        let directory = try PeersDirectory()
        let path = directory.file("memory")
        let file = try RAMBlock(
            MemoryBackend(
                id: "ram",
                kind: .file(path: path, offset: 0, readOnly: false),
                byteCount: 1 << 20,
                isShared: isShared
            )
        )
        let obstacle = try #require(file.obstacleToSnapshot)
        #expect(obstacle.message.contains(path))
        #expect(obstacle.hint?.contains("memfd") == true)
        #expect(throws: obstacle) { try MemorySnapshot([block, file]) }
        #expect(block.obstacleToSnapshot == nil, "the first block was left registered")
        #expect(file.obstacleToKernelTracking == nil)
    }
}
