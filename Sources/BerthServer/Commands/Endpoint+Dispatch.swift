public import BerthJSON
import BerthMigration
public import BerthMonitor
public import BerthQAPI

extension Endpoint: QMPHandler {
    /// Performs one command; the exhaustive switch makes every command of the schema have a home.
    public func execute(
        _ command: QMPCommand,
        monitor: MonitorContext
    ) async throws(QMPError) -> JSONValue {
        if case .humanMonitorCommand(let arguments) = command {
            return .string(try await runHumanCommand(arguments, monitor))
        }
        try await checkRunState(for: command)
        return switch command {
        case .migrate, .migrateIncoming, .migrateCancel, .migrateContinue, .migrateStartPostcopy,
            .migratePause, .migrateRecover, .migrateSetCapabilities, .migrateSetParameters,
            .queryMigrate, .queryMigrateCapabilities, .queryMigrateParameters,
            .queryMigrationthreads, .yank, .queryYank, .announceSelf, .xQueryMappedRAM:
            try await executeMigration(command, monitor)
        case .queryStatus, .stop, .cont, .systemReset, .setAction, .quit:
            try await executeRunState(command)
        case .queryName, .queryUUID, .queryTarget, .queryKVM, .queryVersion, .queryMachines,
            .queryMemdev, .queryMemorySizeSummary, .queryChardev, .queryCommandLineOptions:
            try await executeMachine(command)
        case .objectAdd, .objectDel, .qomList, .qomGet, .qomListTypes:
            try await executeObject(command)
        case .calcDirtyRate, .queryDirtyRate, .setVcpuDirtyLimit, .cancelVcpuDirtyLimit,
            .queryVcpuDirtyLimit, .xQueryDirtyTracking:
            try await executeDirtyRate(command)
        case .xQueryWorkload, .xQueryExternalWriter, .xQueryRAMDigest:
            try await executeWorkload(command)
        case .getfd, .closefd, .addFD, .removeFD, .queryFdsets:
            try executeDescriptor(command, monitor)
        case .qmpCapabilities, .queryCommands, .queryQMPSchema, .humanMonitorCommand:
            // The session answers the first three itself; the last one was handled above.
            throw QMPError(
                "the command \(command.name) belongs to the monitor session",
                class: .commandNotFound
            )
        }
    }

    /// Performs a command out of band: at once, beside the command that runs.
    public func executeOOB(
        _ command: QMPCommand,
        monitor: MonitorContext
    ) async throws(QMPError) -> JSONValue {
        try await execute(command, monitor: monitor)
    }

    /// Refuses a command that the schema doesn't permit in the present run state.
    private func checkRunState(for command: QMPCommand) async throws(QMPError) {
        guard let info = QMPSchema.command(named: command.name), info.permittedRunStates != nil
        else { return }
        try info.checkRunState(await controller.status.state)
    }
}
