import BerthSystem
import Synchronization
import Testing

/// The queue between threads.
@Suite(.timeLimit(.minutes(1)))
struct BoundedQueueTests {
    @Test func `elements come out in the order in which they went in`() {
        let queue = BoundedQueue<Int>(capacity: 3)
        for round in 0..<5 {
            for element in 0..<3 { #expect(queue.put(round * 3 + element)) }
            for element in 0..<3 { #expect(queue.take() == round * 3 + element) }
        }
    }

    @Test func `a full queue makes who puts wait, and loses nothing`() throws {
        let queue = BoundedQueue<Int>(capacity: 2)
        let sum = Mutex(0)
        let takers = try (0..<3).map { _ in
            try NamedThread.start(name: "taker") {
                while let element = queue.take() {
                    sum.withLock { $0 += element }
                    queue.done()
                }
            }
        }
        for element in 1...1000 { #expect(queue.put(element)) }
        queue.waitUntilIdle()
        #expect(sum.withLock { $0 } == 500_500)
        queue.close()
        takers.forEach { $0.join() }
    }

    @Test func `idle means that what was taken is dealt with`() throws {
        let queue = BoundedQueue<Int>(capacity: 1)
        let isDealtWith = Mutex(false)
        let mayGoOn = try WakeEvent()
        let taker = try NamedThread.start(name: "taker") {
            guard queue.take() != nil else { return }
            _ = try? Poll.wait(for: mayGoOn.raw, .input, timeout: nil)
            isDealtWith.withLock { $0 = true }
            queue.done()
        }
        #expect(queue.put(1))
        // Whether the element is still in the queue or with the thread: it isn't idle.
        mayGoOn.signal()
        queue.waitUntilIdle()
        #expect(isDealtWith.withLock { $0 })
        taker.join()
    }

    @Test func `a closed queue takes nothing more and gives the rest, or drops it`() {
        let kept = BoundedQueue<Int>(capacity: 2)
        #expect(kept.put(1))
        kept.close()
        #expect(!kept.put(2))
        #expect(kept.take() == 1)
        #expect(kept.take() == nil)

        let dropped = BoundedQueue<Int>(capacity: 2)
        #expect(dropped.put(1))
        dropped.close(discardsRest: true)
        #expect(dropped.take() == nil)
        dropped.waitUntilIdle()
    }

    @Test func `closing wakes who waits at either end`() throws {
        let full = BoundedQueue<Int>(capacity: 1)
        #expect(full.put(1))
        let empty = BoundedQueue<Int>(capacity: 1)
        let refused = Mutex(false)
        let ended = Mutex(false)
        let threads = [
            try NamedThread.start(name: "putter") {
                let wasPut = full.put(2)
                refused.withLock { $0 = !wasPut }
            },
            try NamedThread.start(name: "taker") {
                let element = empty.take()
                ended.withLock { $0 = element == nil }
            },
        ]
        full.close()
        empty.close()
        threads.forEach { $0.join() }
        #expect(refused.withLock { $0 } && ended.withLock { $0 })
    }
}
