internal import Glibc

/// Process-wide signal settings.
public enum Signals {
    /// Evaluated once: see `ignoreBrokenPipes()`.
    private static let brokenPipesIgnored: Void = {
        var current = sigaction()
        guard unsafe sigaction(SIGPIPE, nil, &current) == 0 else { return }
        // A handler that the program has installed stays: it doesn't kill either.
        guard unsafe unsafeBitCast(current.__sigaction_handler.sa_handler, to: Int.self) == 0 else {
            return
        }
        _ = signal(SIGPIPE, SIG_IGN)
    }()

    /// Makes a write to a pipe that nobody reads fail with `EPIPE` instead of killing the process.
    ///
    /// Sockets don't need it. Children started by `ChildProcess` get the default back.
    public static func ignoreBrokenPipes() {
        brokenPipesIgnored
    }
}
