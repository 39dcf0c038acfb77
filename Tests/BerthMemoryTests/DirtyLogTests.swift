import BerthMemory
import BerthSystem
import Synchronization
import Testing

/// The log that writers mark while a migration collects.
@Suite(.timeLimit(.minutes(10)))
struct DirtyLogTests {
    @Test func `marks are collected once`() {
        let log = DirtyLog(pageCount: 130)
        var bitmap = PageBitmap(pageCount: 130)
        for page in [0, 63, 64, 129, 129, -1, 130] {
            log.mark(page: page)
        }
        #expect(log.collect(into: &bitmap) == 4)
        #expect(bitmap.count == 4 && bitmap[0] && bitmap[63] && bitmap[64] && bitmap[129])
        #expect(log.collect(into: &bitmap) == 0)

        log.mark(page: 63)
        #expect(log.collect(into: &bitmap) == 0, "63 was in the bitmap already")
    }

    @Test func `no mark of several threads is lost`() throws {
        let pageCount = 4096
        let log = DirtyLog(pageCount: pageCount)
        let threads = try (0..<4).map { number in
            try NamedThread.start(name: "marker-\(number)") {
                // Interleaved, so that threads meet in every word.
                for page in stride(from: number, to: pageCount, by: 4) {
                    log.mark(page: page)
                }
            }
        }
        var bitmap = PageBitmap(pageCount: pageCount)
        var fresh = 0
        for _ in 0..<100 {
            fresh += log.collect(into: &bitmap)
        }
        for thread in threads {
            thread.join()
        }
        fresh += log.collect(into: &bitmap)
        #expect(bitmap.count == pageCount)
        #expect(fresh == pageCount)
    }

    /// The promise that a live migration rests on: who collects a mark, or none, sees every write
    /// that was marked before.
    @Test func `a write is either seen or marked again`() throws {
        let pageCount = 64
        let log = DirtyLog(pageCount: pageCount)
        let memory = Memory(pageCount)
        let done = Flag()
        let writer = try NamedThread.start(name: "writer") {
            for value in 1...20_000 {
                let page = value % pageCount
                memory.words[page].store(value, ordering: .relaxed)
                log.mark(page: page)
            }
            done.value.store(true, ordering: .releasing)
        }
        var copy = [Int](repeating: 0, count: pageCount)
        var isLast = false
        while true {
            var bitmap = PageBitmap(pageCount: pageCount)
            _ = log.collect(into: &bitmap)
            for page in 0..<pageCount where bitmap[page] {
                copy[page] = memory.words[page].load(ordering: .relaxed)
            }
            if isLast { break }
            isLast = done.value.load(ordering: .acquiring)
        }
        writer.join()
        for page in 0..<pageCount {
            #expect(copy[page] == memory.words[page].load(ordering: .relaxed), "page \(page)")
        }
    }
}

private final class Flag: Sendable {
    let value = Atomic(false)
}

/// One word of content for each page.
private final class Memory: Sendable {
    nonisolated(unsafe) let words: UnsafeMutableBufferPointer<Atomic<Int>>

    init(_ count: Int) {
        words = .allocate(capacity: count)
        for index in 0..<count {
            words.initializeElement(at: index, to: Atomic(0))
        }
    }

    deinit {
        words.deinitialize()
        words.deallocate()
    }
}
