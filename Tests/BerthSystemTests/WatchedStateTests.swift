import BerthSystem
import Glibc
import Testing

/// State that threads share: who waits is woken, or gives up in time.
@Suite(.timeLimit(.minutes(1)))
struct WatchedStateTests {
    @Test func `a change wakes all who wait for it`() throws {
        let state = WatchedState(0)
        let arrived = WatchedState(0)
        let threads = try (0..<8).map { index in
            try NamedThread.start(name: "test-wait-\(index)") {
                let seen: Int? = state.wait { $0 >= 10 ? $0 : nil }
                #expect(seen == 10)
                arrived.change { $0 += 1 }
            }
        }
        for _ in 0..<10 { state.change { $0 += 1 } }
        #expect(arrived.wait { $0 == 8 ? true : nil } == true)
        for thread in threads { thread.join() }
        #expect(state.value == 10)
    }

    @Test func `what is so already isn't waited for`() {
        let state = WatchedState("here")
        #expect(state.wait(timeout: .zero) { $0 == "here" ? $0 : nil } == "here")
    }

    @Test(arguments: [Duration.zero, .milliseconds(20), .seconds(-1)])
    func `a wait ends when its time is up`(_ timeout: Duration) {
        let state = WatchedState(false)
        let result: Bool? = state.wait(timeout: timeout) { $0 ? true : nil }
        #expect(result == nil)
    }

    @Test func `a time beyond all clocks is as good as for ever`() throws {
        let state = WatchedState(false)
        let thread = try NamedThread.start(name: "test-change") {
            usleep(5000)
            state.change { $0 = true }
        }
        #expect(state.wait(timeout: .seconds(Int64.max)) { $0 ? true : nil } == true)
        thread.join()
    }

    @Test func `what is serialized is used by one at a time`() throws {
        let list = Serialized([Int]())
        let threads = try (0..<4).map { index in
            try NamedThread.start(name: "test-add-\(index)") {
                for number in 0..<1000 { list.withLock { $0.append(number) } }
            }
        }
        for thread in threads { thread.join() }
        #expect(list.withLock { $0.count } == 4000)
        #expect(list.withLock { $0.reduce(0, +) } == 4 * 499_500)
    }
}
