import BerthJSON
import BerthMigration
import BerthMonitor
import BerthQAPI
import BerthTransport

extension Endpoint {
    /// The commands that start, steer and show migrations.
    func executeMigration(
        _ command: QMPCommand,
        _ monitor: MonitorContext
    ) async throws(QMPError) -> JSONValue {
        switch command {
        case .migrate(let arguments):
            try await migrate(arguments, monitor)
        case .migrateIncoming(let arguments):
            try await migrateIncoming(arguments, monitor)
        case .migrateCancel:
            await controller.cancel()
        case .migrateContinue(let arguments):
            try await run { () throws(MigrationError) in
                try await controller.proceed(from: arguments.state)
            }
        case .migrateStartPostcopy, .migratePause, .migrateRecover:
            throw Self.noPostcopy(command)
        case .migrateSetCapabilities(let arguments):
            try await run { () throws(MigrationError) in
                try await controller.setCapabilities(arguments.capabilities)
            }
        case .migrateSetParameters(let changes):
            try await setParameters(changes)
        case .queryMigrate:
            return await controller.info.toJSON()
        case .queryMigrateCapabilities:
            return await controller.capabilityStates.toJSON()
        case .queryMigrateParameters:
            return await controller.parameterValues.toJSON()
        case .queryMigrationthreads:
            return await controller.threads.toJSON()
        case .xQueryMappedRAM:
            return await controller.mappedRAM.toJSON()
        case .yank(let arguments):
            try await yank(arguments.instances)
        case .queryYank:
            return await yankInstances.toJSON()
        case .announceSelf:
            // There is no network card to announce.
            break
        default:
            throw QMPError("'\(command.name)' is not a migration command")
        }
        return .object([:])
    }

    private func migrate(
        _ arguments: MigrateArguments,
        _ monitor: MonitorContext
    ) async throws(QMPError) {
        let target = try MigrationTarget(
            uri: arguments.uri,
            channels: arguments.channels,
            isIncoming: false
        )
        try await run { () throws(MigrationError) in
            try await controller.migrate(
                to: target.address,
                resume: arguments.resume,
                resources: resources(of: monitor)
            )
        }
    }

    private func migrateIncoming(
        _ arguments: MigrateIncomingArguments,
        _ monitor: MonitorContext
    ) async throws(QMPError) {
        let target = try MigrationTarget(
            uri: arguments.uri,
            channels: arguments.channels,
            isIncoming: true
        )
        try await run { () throws(MigrationError) in
            try await controller.migrateIncoming(
                from: target.address,
                exitOnError: arguments.exitOnError,
                resources: resources(of: monitor)
            )
        }
    }

    private func setParameters(_ changes: MigrateSetParameters) async throws(QMPError) {
        var next = await controller.parameterValues
        try next.apply(changes)
        let values = next
        try await run { () throws(MigrationError) in
            try await controller.setParameters(values)
        }
    }

    /// Descriptors that a migration may use: the sets of all monitors, the names of this one.
    func resources(of monitor: MonitorContext) -> TransportResources {
        TransportResources(
            fdSets: fdSets,
            look: { monitor.descriptors.look($0) },
            take: { monitor.descriptors.take($0) }
        )
    }

    /// Shows a refusal of the controller as the monitor shows errors.
    private func run(
        _ body: () async throws(MigrationError) -> Void
    ) async throws(QMPError) {
        do {
            try await body()
        } catch {
            throw QMPError(error.message, hint: error.hint)
        }
    }

    private static func noPostcopy(_ command: QMPCommand) -> QMPError {
        switch command {
        case .migrateStartPostcopy:
            QMPError(
                "cannot switch to postcopy: capability 'postcopy-ram' is off",
                hint: "it is not built into this version of Berth"
            )
        case .migratePause:
            QMPError("cannot pause: no postcopy migration is running")
        default:
            QMPError("cannot recover: no postcopy migration is paused")
        }
    }

    // MARK: Yank

    private var yankInstances: [YankInstance] {
        get async {
            await controller.canYank ? [.migration] : []
        }
    }

    private func yank(_ instances: [YankInstance]) async throws(QMPError) {
        let present = await yankInstances
        guard instances.allSatisfy({ present.contains($0) }) else {
            throw QMPError("Instance not found", class: .deviceNotFound)
        }
        if !instances.isEmpty {
            await controller.yank()
        }
    }
}
