import BerthMonitor
import BerthQAPI

extension Endpoint {
    /// QMP `human-monitor-command`: runs one line of HMP and gives what it prints.
    ///
    /// Failures of the line are text, as in QEMU; only a bad CPU is an error of this command.
    func runHumanCommand(
        _ arguments: HumanMonitorCommandArguments,
        _ monitor: MonitorContext
    ) async throws(QMPError) -> String {
        guard arguments.cpuIndex == nil else {
            throw QMPError("Parameter 'cpu-index' expects a CPU number")
        }
        // This command already holds its turn; what the line does runs within it.
        let commands = HMPCommands { [self] command, monitor throws(QMPError) in
            try await execute(command, monitor: monitor)
        }
        return await commands.table.output(of: arguments.commandLine, monitor: monitor)
    }
}
