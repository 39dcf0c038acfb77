import BerthSystem
import Glibc
import Synchronization
import Testing

/// Counts SIGUSR1; only the test on interrupted waits sends any.
private let signalsSeen = Atomic<Int>(0)

@Suite(.timeLimit(.minutes(1)))
struct PollTests {
    @Test func `a descriptor with input is ready`() throws {
        let pipe = try OwnedDescriptor.pipe()
        #expect(try Poll.wait(for: pipe.first.raw, .input, timeout: .zero) == .timedOut)
        try writeAll(pipe.second.raw, [1])
        #expect(try Poll.wait(for: pipe.first.raw, .input) == .ready)
    }

    @Test func `the end of a pipe counts as ready`() throws {
        let reader = try OwnedDescriptor.pipe().takeFirst()
        #expect(try Poll.wait(for: reader.raw, .input) == .ready)
    }

    @Test func `an abort wins over input and stays raised`() throws {
        let pipe = try OwnedDescriptor.pipe()
        try writeAll(pipe.second.raw, [1])
        let abort = try WakeEvent()
        abort.signal()
        for _ in 0..<2 {
            #expect(try Poll.wait(for: pipe.first.raw, .input, abort: abort) == .aborted)
        }
        abort.clear()
        #expect(try Poll.wait(for: pipe.first.raw, .input, abort: abort) == .ready)
    }

    @Test func `an abort ends a wait that has begun`() throws {
        let pipe = try OwnedDescriptor.pipe()
        let raw = pipe.first.raw
        let abort = try WakeEvent()
        let call = try BlockedCall { try Poll.wait(for: raw, .input, abort: abort) }
        abort.signal()
        #expect(try call.finish() == .aborted)
    }

    @Test func `a time-out passes at least its time and is not rounded down`() throws {
        let pipe = try OwnedDescriptor.pipe()
        let begin = ContinuousClock.now
        let outcome = try Poll.wait(
            for: pipe.first.raw,
            .input,
            timeout: .microseconds(1500)
        )
        #expect(outcome == .timedOut)
        #expect(begin.duration(to: .now) >= .microseconds(1500))
    }

    @Test func `a signal does not end a wait`() throws {
        let pipe = try OwnedDescriptor.pipe()
        let raw = pipe.first.raw
        let handle = Arc(Mutex<pthread_t?>(nil))
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in
            signalsSeen.wrappingAdd(1, ordering: .relaxed)
        }
        sigaction(SIGUSR1, &action, nil)
        let call = try BlockedCall {
            var set = sigset_t()
            sigemptyset(&set)
            sigaddset(&set, SIGUSR1)
            pthread_sigmask(SIG_UNBLOCK, &set, nil)
            handle.value.withLock { $0 = pthread_self() }
            return try Poll.wait(for: raw, .input)
        }
        let thread = try #require(handle.value.withLock { $0 })
        pthread_kill(thread, SIGUSR1)
        while signalsSeen.load(ordering: .relaxed) == 0 { sched_yield() }
        try writeAll(pipe.second.raw, [1])
        #expect(try call.finish() == .ready)
    }

    @Test func `a wake event goes up and down`() throws {
        let event = try WakeEvent()
        #expect(!event.isSignalled)
        event.signal()
        event.signal()
        #expect(event.isSignalled)
        event.clear()
        #expect(!event.isSignalled)
        event.clear()
        #expect(!event.isSignalled)
    }
}
