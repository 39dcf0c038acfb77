internal import Glibc

/// Process-wide signal settings.
public enum Signals {
    /// Evaluated once: see `ignoreBrokenPipes()`.
    private static let brokenPipesIgnored: Void = {
        // A handler that the program has installed stays: it doesn't kill either.
        guard disposition(SIGPIPE) == .standard else { return }
        _ = signal(SIGPIPE, SIG_IGN)
    }()

    /// Evaluated once: see `keepExitStatuses()`.
    private static let exitStatusesKept: Void = {
        guard disposition(SIGCHLD) == .ignored else { return }
        _ = signal(SIGCHLD, SIG_DFL)
    }()

    /// Makes a write to a pipe that nobody reads fail with `EPIPE` instead of killing the process.
    ///
    /// Sockets don't need it. Children started by `ChildProcess` get the default back.
    public static func ignoreBrokenPipes() {
        brokenPipesIgnored
    }

    /// Undoes a parent process's choice to ignore `SIGCHLD`.
    ///
    /// With it the kernel forgets how children end.
    static func keepExitStatuses() {
        exitStatusesKept
    }

    private enum Disposition {
        case standard
        case ignored
        case handled
    }

    private static func disposition(_ number: CInt) -> Disposition {
        var current = sigaction()
        guard unsafe sigaction(number, nil, &current) == 0 else { return .handled }
        // SIG_DFL and SIG_IGN are the numbers 0 and 1 in the handler's place.
        return switch unsafe unsafeBitCast(current.__sigaction_handler.sa_handler, to: Int.self) {
        case 0: .standard
        case 1: .ignored
        default: .handled
        }
    }
}
