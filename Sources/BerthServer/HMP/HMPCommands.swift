public import BerthJSON
public import BerthMonitor
public import BerthQAPI

/// The commands of the human monitor, each in terms of QMP's.
public struct HMPCommands: Sendable {
    /// Executes a QMP command for a monitor and gives its reply.
    public typealias Execute =
        @Sendable (QMPCommand, MonitorContext) async throws(QMPError) -> JSONValue

    let execute: Execute
    let pace: MigrationWatch.Pace

    /// Makes the commands.
    ///
    /// - Parameters:
    ///   - execute: what executes them. `migrate` without `-d` calls it again and again until the
    ///     migration has ended, so it must not hold up other monitors beyond a call's own time.
    ///   - pace: how often that looks.
    public init(pace: MigrationWatch.Pace = .standard, execute: @escaping Execute) {
        self.execute = execute
        self.pace = pace
    }

    /// All commands.
    public var table: HMPCommandTable {
        HMPCommandTable(
            guestCommands + migrationCommands + settingCommands + resourceCommands
                + dirtyingCommands,
            information: guestInformation + migrationInformation + settingInformation
                + resourceInformation + dirtyingInformation + imageInformation
        )
    }
}

extension HMPInvocation {
    /// Executes a command whose reply says nothing.
    func perform(
        _ command: QMPCommand,
        by execute: HMPCommands.Execute
    ) async throws(QMPError) {
        _ = try await execute(command, monitor)
    }

    /// Executes a command and takes its reply apart.
    func query<Reply: QAPIValue>(
        _ command: QMPCommand,
        _ type: Reply.Type = Reply.self,
        by execute: HMPCommands.Execute
    ) async throws(QMPError) -> Reply {
        try Reply.decode(try await execute(command, monitor), at: ArgumentPlace())
    }
}

extension Bool {
    /// The spelling of switches on the human monitor.
    var onOff: String { self ? "on" : "off" }
}
