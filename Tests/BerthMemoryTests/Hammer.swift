import BerthMemory
import BerthSystem
import BerthTestSupport
import Glibc
import Synchronization

/// Threads that write random pages of a block as fast as they can.
///
/// Each write puts a fresh number into the first and the last word of a page and then marks it.
final class Hammer: Sendable {
    private let control: Control
    private let threads: [NamedThread]

    private final class Control: Sendable {
        let block: RAMBlock
        let marks: Bool
        let wantsPause: Atomic<Bool>
        let wantsEnd = Atomic(false)
        let pausedCount = Atomic(0)
        let endedCount = Atomic(0)
        let writes = Atomic(0)

        init(_ block: RAMBlock, marks: Bool, isPaused: Bool) {
            self.block = block
            self.marks = marks
            wantsPause = Atomic(isPaused)
        }
    }

    /// Starts the threads.
    ///
    /// - Parameter marks: whether they mark the block's dirty log.
    init(
        _ block: RAMBlock,
        threadCount: Int = 2,
        marks: Bool = true,
        isPaused: Bool = false
    ) throws {
        let control = Control(block, marks: marks, isPaused: isPaused)
        self.control = control
        threads = try (0..<threadCount).map { number in
            try NamedThread.start(name: "hammer-\(number)") { Self.write(control, number) }
        }
    }

    deinit { end() }

    /// Number of writes by all threads.
    var writes: Int { control.writes.load(ordering: .relaxed) }
    /// Whether all threads have ended, so that none waits for anything.
    var hasEnded: Bool { control.endedCount.load(ordering: .acquiring) == threads.count }

    /// Returns once no thread writes.
    func pause() {
        control.wantsPause.store(true, ordering: .releasing)
        while control.pausedCount.load(ordering: .acquiring) < threads.count { usleep(50) }
    }

    func resume() {
        control.wantsPause.store(false, ordering: .releasing)
    }

    /// Has the threads end, without waiting for them.
    func askToEnd() {
        control.wantsEnd.store(true, ordering: .releasing)
    }

    /// Returns once all threads have ended.
    func end() {
        askToEnd()
        for thread in threads { thread.join() }
    }

    private static func write(_ control: Control, _ number: Int) {
        var generator = SeededGenerator()
        let block = control.block
        let pageCount = block.pageCount
        var value = UInt64(number) << 56
        while !control.wantsEnd.load(ordering: .acquiring) {
            if control.wantsPause.load(ordering: .acquiring) {
                control.pausedCount.add(1, ordering: .acquiringAndReleasing)
                while control.wantsPause.load(ordering: .acquiring),
                    !control.wantsEnd.load(ordering: .acquiring)
                {
                    usleep(50)
                }
                control.pausedCount.subtract(1, ordering: .acquiringAndReleasing)
                continue
            }
            value += 1
            let page = Int(generator.next() % UInt64(pageCount))
            let address = block.base + page * targetPageByteCount
            address.storeBytes(of: value, as: UInt64.self)
            address.storeBytes(of: value, toByteOffset: targetPageByteCount - 8, as: UInt64.self)
            if control.marks { block.dirtyLog.mark(page: page) }
            control.writes.add(1, ordering: .relaxed)
        }
        control.endedCount.add(1, ordering: .releasing)
    }
}

extension RAMBlock {
    /// A copy of all bytes.
    var copy: [UInt8] {
        Array(UnsafeRawBufferPointer(start: base, count: byteCount))
    }

    /// Gives every page whose number `isFilled` says yes to a content of its own.
    func fill(_ isFilled: (Int) -> Bool = { _ in true }) {
        for page in 0..<pageCount where isFilled(page) {
            let address = base + page * targetPageByteCount
            for offset in stride(from: 0, to: targetPageByteCount, by: 512) {
                address.storeBytes(
                    of: UInt64(page + 1) << 16 | UInt64(offset),
                    toByteOffset: offset,
                    as: UInt64.self
                )
            }
        }
    }
}
