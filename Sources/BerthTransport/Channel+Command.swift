internal import BerthSystem
internal import Glibc
internal import Synchronization
internal import SystemPackage

extension Channel {
    /// How long a command that stopped reading may take to exit before it is blamed without its
    /// exit status: closing its input is the last thing that most programs do.
    private static let exitGrace = Duration.seconds(1)

    /// Waits for the end of the command, if there is one, and judges it.
    func waitForCommand() throws(TransportError) {
        guard let command else { return }
        let status: ChildProcess.ExitStatus?
        do {
            status = try command.wait(abort: wake)
        } catch {
            throw TransportError("wait for", name, cause: error)
        }
        guard let status, !hasBeenAborted else { throw .aborted("wait for", name) }
        guard !isAccepted(status) else { return }
        throw commandError("finish", status)
    }

    /// A command that still writes after everything needed has been read gets SIGPIPE: our doing,
    /// not its failure.
    ///
    /// Shells report their child's as 128 + 13.
    private func isAccepted(_ status: ChildProcess.ExitStatus) -> Bool {
        switch status {
        case .exited(code: 0): true
        case .signalled(SIGPIPE), .exited(code: 128 + SIGPIPE):
            sawBytes.load(ordering: .relaxed) && !sawEnd.load(ordering: .relaxed)
        default: false
        }
    }

    /// The error for a failed write, which for a command says how it ended, if it has.
    func writeError(_ code: SystemCallError) -> TransportError {
        guard let command, code.errno.rawValue == EPIPE,
            let status = try? command.wait(abort: wake, timeout: Self.exitGrace)
        else { return TransportError("write to", name, cause: code) }
        if hasBeenAborted { return .aborted("write to", name) }
        return commandError("write to", status)
    }

    private func commandError(
        _ operation: String,
        _ status: ChildProcess.ExitStatus
    ) -> TransportError {
        if let filter { return filter.failure(status, name) }
        let reason =
            switch status {
            case .exited(code: 0): "the command ended before it had read everything"
            case .exited(let code): "the command exited with status \(code)"
            case .signalled(let number): "the command was killed by signal \(number)"
            }
        return TransportError(
            operation,
            name,
            reason: reason,
            hint: "its own messages are on this process's standard error"
        )
    }
}
