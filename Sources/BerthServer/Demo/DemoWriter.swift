import BerthMemory
import BerthMigration
import BerthSystem
import Glibc
import Synchronization

/// A busy guest in miniature: one thread that writes counters into random pages while it may.
///
/// Each write is marked in the block's dirty log after it was made, as the log demands.
final class DemoWriter: GuestActivity {
    private struct State {
        var mayWrite = false
        var isOver = false
        var random = SystemRandomNumberGenerator()
        var counter: UInt64 = 0
    }

    private let block: RAMBlock
    private let state = Mutex(State())

    /// Pages written at a time, and the pause after them: some 160 MiB of dirtied pages a second.
    private static let burstPageCount = 200
    private static let pauseMicroseconds: UInt32 = 4_000

    /// Makes a writer of `block` and fills three quarters of it, so that the demo has zero pages.
    init(_ block: RAMBlock) {
        self.block = block
        for page in 0..<block.pageCount * 3 / 4 {
            write(UInt64(page), toPage: page)
        }
    }

    /// Starts the thread.
    func start() throws(SystemCallError) {
        try NamedThread.start(name: "berth-guest") { [self] in
            while work() {
                usleep(Self.pauseMicroseconds)
            }
        }
    }

    /// Makes the thread end.
    func end() {
        state.withLock { $0.isOver = true }
    }

    func pause() {
        // A burst holds the lock, so that none is going on once this has it.
        state.withLock { $0.mayWrite = false }
    }

    func resume() {
        state.withLock { $0.mayWrite = true }
    }

    private func work() -> Bool {
        state.withLock { state in
            guard state.mayWrite else { return !state.isOver }
            for _ in 0..<Self.burstPageCount {
                state.counter += 1
                let page = Int.random(in: 0..<block.pageCount * 3 / 4, using: &state.random)
                write(state.counter, toPage: page)
            }
            return !state.isOver
        }
    }

    private func write(_ value: UInt64, toPage page: Int) {
        let base = unsafe block.base + page * targetPageByteCount
        for offset in stride(from: 0, to: targetPageByteCount, by: 512) {
            unsafe base.storeBytes(of: value &+ 1, toByteOffset: offset, as: UInt64.self)
        }
        block.dirtyLog.mark(page: page)
    }
}

/// Brings the writer, which an endpoint makes from its memory, back to the demo.
final class WriterBox: Sendable {
    private let made = Mutex<DemoWriter?>(nil)

    /// The writer, once the endpoint exists.
    var writer: DemoWriter? { made.withLock { $0 } }

    /// Makes the writer of an endpoint's first block.
    func make(_ memory: GuestMemory) -> (any GuestActivity)? {
        guard let block = memory.blocks.first else { return nil }
        let writer = DemoWriter(block)
        made.withLock { $0 = writer }
        return writer
    }
}
