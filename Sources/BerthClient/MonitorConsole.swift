internal import BerthMonitor
internal import BerthSystem
internal import Glibc

/// A console on the standard streams of the process.
public enum MonitorConsole {
    /// Connects, and runs one command or whatever standard input has to say.
    ///
    /// - Parameters:
    ///   - address: the monitor's, as `MonitorAddress` reads it.
    ///   - command: the words of a command; none for a session.
    ///   - reportError: shows an error of the console itself; gets one line without its end.
    /// - Returns: the exit status: 0, or 1 when anything went wrong.
    /// - Throws: `ClientError` when there is no monitor to talk to.
    @available(*, noasync, message: "blocks its thread")
    public static func run(
        address: String,
        command: [String],
        reportError: @escaping (String) -> Void
    ) throws(ClientError) -> CInt {
        Signals.ignoreBrokenPipes()
        let output: TerminalConsole
        do {
            output = TerminalConsole(output: try OwnedDescriptor.duplicate(of: STDOUT_FILENO))
        } catch {
            throw .broken("cannot use standard output: \(error)")
        }
        let connection = try MonitorConnection(to: MonitorAddress(address))
        let session = try ConsoleSession(connection, output: output, reportError: reportError)
        if !command.isEmpty { return session.run(words: command, input: STDIN_FILENO) }
        guard HMPTerminal.canEdit(input: STDIN_FILENO, output: STDOUT_FILENO) else {
            return session.run(linesOf: STDIN_FILENO)
        }
        return session.run(terminal: output, input: STDIN_FILENO)
    }
}
