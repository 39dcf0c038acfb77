public import BerthJSON
public import BerthQAPI

/// Carries out the commands of QMP.
///
/// `qmp_capabilities`, `query-commands` and `query-qmp-schema` never come here: monitors answer them
/// by themselves.
public protocol QMPHandler: Sendable {
    /// Carries out a command. Over all monitors, one runs at a time.
    ///
    /// Events emitted before this returns reach every client before the reply does.
    /// `quit` should only note that the process is to end: its reply is sent after this returns,
    /// and then `MonitorServer.close()` waits for it.
    ///
    /// - Parameters:
    ///   - command: with checked arguments.
    ///   - monitor: where it was given.
    /// - Returns: what `return` carries, an empty object for commands without a result.
    /// - Throws: `QMPError`, which becomes the reply.
    func execute(
        _ command: QMPCommand,
        monitor: MonitorContext
    ) async throws(QMPError) -> JSONValue

    /// Carries out a command that was given out of band: at once, while others may be running.
    ///
    /// Only commands whose `CommandInfo.allowsOOB` is set come here.
    func executeOOB(
        _ command: QMPCommand,
        monitor: MonitorContext
    ) async throws(QMPError) -> JSONValue
}
