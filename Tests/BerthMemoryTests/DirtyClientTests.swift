import BerthMemory
import BerthSystem
import Synchronization
import Testing

/// Several clients, several sources, and what goes wrong with them.
@Suite struct DirtyClientTests {
    private let block: RAMBlock

    init() throws {
        block = try RAMBlock(id: "ram", byteCount: 1 << 20)
    }

    private func collect(_ client: DirtyClient) throws -> [Int] {
        var bitmap = PageBitmap(pageCount: block.pageCount)
        let count = try client.collect(into: &bitmap)
        #expect(count == bitmap.count)
        return (0..<block.pageCount).filter { bitmap[$0] }
    }

    @Test func `each client is told of every write since it began, once`() throws {
        block.dirtyLog.mark(page: 1)
        let first = try block.tracking.begin()
        block.dirtyLog.mark(page: 2)
        let second = try block.tracking.begin()
        block.dirtyLog.mark(page: 3)
        #expect(try collect(second) == [3])
        block.dirtyLog.mark(page: 4)
        #expect(try collect(first) == [2, 3, 4])
        #expect(try collect(second) == [4])
        first.end()
        block.dirtyLog.mark(page: 5)
        #expect(try collect(first) == [])
        #expect(try collect(second) == [5])
        second.end()
        second.end()
        #expect(!block.tracking.isActive)
    }

    @Test func `a client ends with its last reference`() throws {
        var client: DirtyClient? = try block.tracking.begin()
        #expect(block.tracking.isActive)
        client = nil
        #expect(client == nil && !block.tracking.isActive)
    }

    @Test func `a page already set in the caller's bitmap isn't counted`() throws {
        let client = try block.tracking.begin()
        block.dirtyLog.mark(page: 1)
        block.dirtyLog.mark(page: 2)
        var bitmap = PageBitmap(pageCount: block.pageCount)
        bitmap.set(1..<2, to: true)
        #expect(try client.collect(into: &bitmap) == 1)
        #expect(bitmap.count == 2)
    }

    @Test func `the mechanism changes only while there are no clients`() throws {
        let client = try block.tracking.begin()
        #expect(throws: DirtyTrackingError.self) { try block.tracking.choose(.kernel) }
        try block.tracking.choose(.software)
        try block.tracking.choose(.auto)
        client.end()
        try block.tracking.choose(.kernel)
        #expect(block.tracking.mechanisms == [.kernel])
        let other = try block.tracking.begin()
        #expect(block.obstacleToKernelTracking == nil, "it is in use by itself")
        #expect(block.obstacleToSnapshot != nil)
        other.end()
        #expect(block.obstacleToSnapshot == nil)
    }

    @Test func `kernel tracking and a snapshot exclude each other`() throws {
        try block.tracking.choose(.kernel)
        let snapshot = try MemorySnapshot([block])
        #expect(throws: DirtyTrackingError.self) { try block.tracking.begin() }
        #expect(!block.tracking.isActive)
        snapshot.end()
        try block.tracking.begin().end()
    }

    @Test func `another name of a block finds the same writes`() throws {
        let other = block.named("pc.ram")
        #expect(other.id == "pc.ram")
        let client = try other.tracking.begin()
        block.dirtyLog.mark(page: 3)
        #expect(try collect(client) == [3])
    }

    @Test func `sources of other writers work beside the own one`() throws {
        let source = ListedSource([10, 11])
        let token = try block.tracking.add(source)
        #expect(block.tracking.mechanisms == [.software, .peer])
        let client = try block.tracking.begin()
        #expect(source.isStarted)
        block.dirtyLog.mark(page: 3)
        #expect(try collect(client) == [3, 10, 11])
        #expect(throws: DirtyTrackingError.self, "it could have written already") {
            try block.tracking.add(ListedSource([]))
        }
        source.write([12])
        block.tracking.remove(token)
        #expect(!source.isStarted)
        #expect(try collect(client) == [12], "what it wrote before it went")
        client.end()
        block.tracking.remove(token)
        #expect(block.tracking.mechanisms == [.software])
    }

    @Test func `a source that can't start stops those before it`() throws {
        let good = ListedSource([])
        _ = try block.tracking.add(good)
        let bad = ListedSource([])
        bad.fail(DirtyTrackingError("no"))
        _ = try block.tracking.add(bad)
        #expect(throws: DirtyTrackingError("no")) { try block.tracking.begin() }
        #expect(!good.isStarted && !block.tracking.isActive)
        bad.fail(nil)
        try block.tracking.begin().end()
    }

    @Test func `when a source fails, all clients know until all have ended`() throws {
        let source = ListedSource([])
        _ = try block.tracking.add(source)
        let first = try block.tracking.begin()
        let second = try block.tracking.begin()
        let failure = DirtyTrackingError("gone")
        source.fail(failure)
        #expect(throws: failure) { try collect(first) }
        source.fail(nil)
        #expect(throws: failure) { try collect(second) }
        #expect(throws: failure) { try block.tracking.begin() }
        first.end()
        second.end()
        #expect(try collect(block.tracking.begin()) == [])
    }
}

/// A source that finds what a test says.
private final class ListedSource: DirtySource {
    private struct State {
        var pages: [Int]
        var failure: DirtyTrackingError?
        var isStarted = false
    }

    let mechanism = DirtyTrackingMechanism.peer
    private let state: Mutex<State>

    init(_ pages: [Int]) { state = Mutex(State(pages: pages)) }

    var isStarted: Bool { state.withLock { $0.isStarted } }

    func write(_ pages: [Int]) { state.withLock { $0.pages += pages } }

    func fail(_ failure: DirtyTrackingError?) { state.withLock { $0.failure = failure } }

    func start() throws(DirtyTrackingError) {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        state.withLock { $0.isStarted = true }
    }

    func collect(into bitmap: inout PageBitmap) throws(DirtyTrackingError) -> Int {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        let pages = state.withLock { state in
            defer { state.pages = [] }
            return state.pages
        }
        return pages.reduce(0) { $0 + bitmap.insert($1..<$1 + 1) }
    }

    func stop() { state.withLock { $0.isStarted = false } }
}
