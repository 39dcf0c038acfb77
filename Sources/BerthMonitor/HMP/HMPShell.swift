internal import BerthQAPI

/// Runs lines of the human monitor, one at a time.
public struct HMPShell: Sendable {
    /// Whether there is more to come on a console.
    public enum Outcome: Sendable, Equatable {
        /// Show the prompt and read the next line.
        case proceed
        /// The endpoint is on its way out: close the session without a prompt.
        case quit
    }

    /// The line that greets everybody who connects; `version` is that of the interface, `10.0.2`.
    public static func banner(version: String) -> String {
        "QEMU \(version) monitor - type 'help' for more information"
    }

    /// What a session shows when it is ready for a line.
    public static let prompt = "(qemu) "

    /// The commands.
    public let table: HMPCommandTable
    /// The monitor that the commands work for.
    public let monitor: MonitorContext
    /// What was typed; nil where nobody types.
    public let history: HMPHistory?

    /// Makes a shell.
    public init(
        table: HMPCommandTable,
        monitor: MonitorContext,
        history: HMPHistory? = HMPHistory()
    ) {
        self.table = table
        self.monitor = monitor
        self.history = history
    }

    /// Runs a line; whatever goes wrong is shown.
    ///
    /// - Parameters:
    ///   - line: without its end.
    ///   - console: where the output goes.
    /// - Returns: when the command is done, `migrate` without `-d` when its migration is.
    public func run(_ line: String, on console: any HMPConsole) async -> Outcome {
        history?.add(line)
        switch table.parse(line) {
        case .blank:
            return .proceed
        case .unknown(let typed):
            console.writeLine("unknown command: '\(typed)'")
            return .proceed
        case .malformed(let lines):
            for line in lines { console.writeLine(line) }
            return .proceed
        case .command(let command, let arguments):
            return await run(command, arguments, on: console)
        }
    }

    private func run(
        _ command: HMPCommand,
        _ arguments: HMPArguments,
        on console: any HMPConsole
    ) async -> Outcome {
        let invocation = HMPInvocation(
            arguments: arguments,
            console: console,
            monitor: monitor,
            table: table,
            history: history
        )
        do throws(QMPError) {
            try await command.action(invocation)
            return command.endsSession ? .quit : .proceed
        } catch {
            console.writeLine("Error: \(error.desc)")
            if let hint = error.hint { console.writeLine(hint) }
            return .proceed
        }
    }
}

extension HMPCommandTable {
    /// Runs one line for `human-monitor-command`.
    ///
    /// - Parameters:
    ///   - line: the line; an empty one does nothing.
    ///   - monitor: the monitor that the request came from.
    /// - Returns: all that the command showed, with CR LF at the end of each line. Errors are text,
    ///   too.
    public func output(of line: String, monitor: MonitorContext) async -> String {
        let console = HMPTextConsole()
        let shell = HMPShell(table: self, monitor: monitor, history: nil)
        _ = await shell.run(line, on: console)
        return console.text
    }
}
