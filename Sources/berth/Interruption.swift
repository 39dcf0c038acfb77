import BerthSystem
import Glibc
import Synchronization

/// Where the signal handler leaves a signal's number.
///
/// A global, for a handler has no other way to reach anything.
private let arrivals = Atomic<CInt>(-1)

/// What a signal does to a command that writes images: it ends, and leaves nothing behind.
///
/// Not with `sigwait`, as an endpoint does it: the main thread of an asynchronous program waits with
/// no signal blocked.
enum Interruption {
    /// Has `cleanUp` called before SIGTERM, SIGINT or SIGHUP ends the process.
    static func cleaningUp(_ cleanUp: @escaping @Sendable () -> Void) {
        // Without a pipe or a thread a signal ends the process as ever, and what it wrote stays.
        var ends: [CInt] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { return }
        let output = ends[0]
        arrivals.store(ends[1], ordering: .sequentiallyConsistent)
        let thread = try? NamedThread.start(name: "berth-signals") {
            var number: UInt8 = 0
            guard unsafe read(output, &number, 1) == 1 else { return }
            cleanUp()
            // Below the bar, if there is one.
            let newLine = isatty(STDERR_FILENO) != 0 ? "\n" : ""
            StandardError.write("\(newLine)berth: terminating on signal \(number)\n")
            // What a shell expects of a command that a signal ended.
            _exit(128 + CInt(number))
        }
        guard thread != nil else { return }
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            _ = Glibc.signal(signal) { signal in
                var number = UInt8(truncatingIfNeeded: signal)
                _ = unsafe write(arrivals.load(ordering: .sequentiallyConsistent), &number, 1)
            }
        }
    }
}
