import Glibc

/// The signals that end an endpoint in order: SIGTERM, SIGINT and SIGHUP.
struct EndingSignals: Sendable {
    private static var set: sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            unsafe sigaddset(&set, signal)
        }
        return set
    }

    /// Blocks them in the calling thread and in all threads that it starts from now on, so that
    /// only `wait` takes them.
    static func block() -> EndingSignals {
        var set = set
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        return EndingSignals()
    }

    /// Blocks the calling thread until one comes.
    ///
    /// - Returns: the signal and the process that sent it.
    @available(*, noasync)
    func wait() -> (signal: Int32, sender: pid_t) {
        var set = Self.set
        var info = unsafe siginfo_t()
        while true {
            let signal = unsafe sigwaitinfo(&set, &info)
            if signal > 0 {
                return (signal, unsafe info._sifields._kill.si_pid)
            }
        }
    }
}
