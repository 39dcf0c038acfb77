import BerthSystem
import Glibc
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1)))
struct ThreadTests {
    @Test func `a thread has its name and all signals blocked`() throws {
        let seen = Arc(Mutex<(name: String, blocked: Bool)?>(nil))
        let thread = try NamedThread.start(name: "berth-recv-0007") {
            var set = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &set)
            let blocked = [SIGINT, SIGTERM, SIGPIPE, SIGUSR1, SIGCHLD].allSatisfy {
                sigismember(&set, $0) == 1
            }
            let name = (try? contents(of: "/proc/thread-self/comm")) ?? ""
            seen.value.withLock { $0 = (name, blocked) }
        }
        thread.join()
        thread.join()
        let result = try #require(seen.value.withLock { $0 })
        #expect(result.name == "berth-recv-0007\n")
        #expect(result.blocked)
    }

    @Test func `starting a thread leaves the caller's own signals as they were`() throws {
        var before = sigset_t()
        pthread_sigmask(SIG_BLOCK, nil, &before)
        try NamedThread.start(name: "t") {}.join()
        var after = sigset_t()
        pthread_sigmask(SIG_BLOCK, nil, &after)
        for signal in 1..<CInt(32) {
            #expect(sigismember(&before, signal) == sigismember(&after, signal))
        }
    }

    @Test func `a name that the kernel would cut is refused`() async {
        await #expect(processExitsWith: .failure) {
            _ = try NamedThread.start(name: "sixteen bytes ..") {}
        }
    }
}
