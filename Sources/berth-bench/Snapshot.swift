import BerthMemory
import BerthSystem
import Glibc
import Synchronization

/// What a snapshot costs a writer at full speed, by kind of memory.
func measureSnapshot(byteCount: Int) throws -> [Row] {
    var rows: [Row] = []
    for kind in Kind.allCases {
        guard let block = kind.makeBlock(byteCount: byteCount) else { continue }
        for hasWriter in [false, true] {
            rows.append(try measureSnapshot(of: block, kind, hasWriter: hasWriter))
        }
    }
    return rows
}

private func measureSnapshot(
    of block: RAMBlock,
    _ kind: Kind,
    hasWriter: Bool
) throws -> Row {
    let writer = hasWriter ? try Writer(block) : nil
    defer { writer?.end() }
    while let writer, writer.writes.load(ordering: .relaxed) == 0 { usleep(100) }
    let speed = writer?.writesPerSecond(over: 200_000) ?? 0
    let without = writer?.longest.exchange(0, ordering: .relaxed) ?? 0

    let start = ContinuousClock.now
    let snapshot = try MemorySnapshot([block])
    defer { snapshot.end() }
    let prepare = try milliseconds { try snapshot.prepare() }
    let beforeInstant = writer?.longest.exchange(0, ordering: .relaxed) ?? 0
    writer?.pause()
    let seal = try milliseconds { try snapshot.seal() }
    writer?.resume()
    let staging = UnsafeMutableRawBufferPointer.allocate(
        byteCount: snapshot.granuleByteCount,
        alignment: targetPageByteCount
    )
    defer { unsafe staging.deallocate() }
    let writesBefore = writer?.writes.load(ordering: .relaxed) ?? 0
    let save = try milliseconds {
        while let piece = unsafe try snapshot.next(into: staging) { snapshot.recycle(piece) }
    }
    let writesMeanwhile = (writer?.writes.load(ordering: .relaxed) ?? 0) - writesBefore
    let end = milliseconds { snapshot.end() }
    let total = start.duration(to: .now) / .milliseconds(1)
    let counters = snapshot.counters
    // The saver drops what it gets: with a disk behind it, the disk's time comes on top.
    return Row(
        names: [("memory", kind.rawValue), ("writer", hasWriter ? "random" : "none")],
        values: [
            ("prepare ms", prepare), ("pause ms", seal), ("read ms", save), ("end ms", end),
            ("total ms", total),
            ("longest write without ms", Double(without) / 1e6),
            ("longest write before ms", Double(beforeInstant) / 1e6),
            ("longest write after ms", Double(writer?.longest.load(ordering: .relaxed) ?? 0) / 1e6),
            ("faults before", Double(counters.faultsWhilePreparing)),
            ("pages sealed", Double(counters.pagesSealed)),
            ("faults", Double(counters.faults)),
            ("waits for saver", Double(counters.waitsForSaver)),
            ("M writes/s", speed / 1e6),
            ("M writes/s meanwhile", Double(writesMeanwhile) / save / 1e3),
        ]
    )
}

/// A thread that writes random pages as fast as it can, and times each write.
private final class Writer: Sendable {
    let writes = Atomic(0)
    /// The longest write in nanoseconds.
    let longest = Atomic<UInt64>(0)
    private let wantsPause = Atomic(false)
    private let isPaused = Atomic(false)
    private let wantsEnd = Atomic(false)
    private let thread: Mutex<NamedThread?> = Mutex(nil)

    init(_ block: RAMBlock) throws {
        let new = try NamedThread.start(name: "bench-writer") { self.run(block) }
        thread.withLock { $0 = new }
    }

    func pause() {
        wantsPause.store(true, ordering: .releasing)
        while !isPaused.load(ordering: .acquiring) { sched_yield() }
    }

    func resume() {
        wantsPause.store(false, ordering: .releasing)
    }

    func end() {
        wantsEnd.store(true, ordering: .releasing)
        thread.withLock { $0?.join() }
    }

    func writesPerSecond(over microseconds: UInt32) -> Double {
        let before = writes.load(ordering: .relaxed)
        let time = milliseconds { usleep(microseconds) }
        return Double(writes.load(ordering: .relaxed) - before) / time * 1000
    }

    private func run(_ block: RAMBlock) {
        var random = CheapRandom()
        let pageCount = UInt64(block.pageCount)
        var count = 0
        var last = now()
        while !wantsEnd.load(ordering: .acquiring) {
            if wantsPause.load(ordering: .acquiring) {
                isPaused.store(true, ordering: .releasing)
                while wantsPause.load(ordering: .acquiring) { sched_yield() }
                isPaused.store(false, ordering: .releasing)
                last = now()
            }
            write(block, Int(random.next() % pageCount), UInt64(count))
            count += 1
            writes.store(count, ordering: .relaxed)
            let time = now()
            if time - last > longest.load(ordering: .relaxed) {
                longest.store(time - last, ordering: .relaxed)
            }
            last = time
        }
    }

    private func now() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
