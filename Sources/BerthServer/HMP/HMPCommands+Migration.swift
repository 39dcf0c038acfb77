internal import BerthJSON
internal import BerthMonitor
internal import BerthQAPI

// Migrations: to begin, steer, end and watch them.
extension HMPCommands {
    var migrationCommands: [HMPCommand] {
        [
            HMPCommand(
                "migrate",
                parameters: [
                    HMPParameter("detach", .flag("d")),
                    HMPParameter("resume", .flag("r")),
                    HMPParameter("uri", .word),
                ],
                summary: """
                    send the guest to a URI, and wait until it is there
                    -d to not wait
                    -r to resume a postcopy migration that has lost its connection
                    """,
                action: migrate
            ),
            HMPCommand(
                "migrate_incoming",
                parameters: [HMPParameter("uri", .word)],
                summary: "take a guest in from a URI, after -incoming defer",
                action: takeIn
            ),
            command(
                "migrate_cancel",
                .migrateCancel,
                summary: "give up the migration that runs; the guest goes on here"
            ),
            HMPCommand(
                "migrate_continue",
                parameters: [HMPParameter("state", .word)],
                summary: "go on with a migration that waits in this state",
                candidates: { $0 == 0 ? [MigrationStatus.preSwitchover.rawValue] : [] },
                action: goOn
            ),
            command(
                "migrate_pause",
                .migratePause,
                summary: "cut the connection of a postcopy migration"
            ),
            HMPCommand(
                "migrate_recover",
                parameters: [HMPParameter("uri", .word)],
                summary: "listen again for a postcopy migration that has lost its connection",
                action: recover
            ),
            command(
                "migrate_start_postcopy",
                .migrateStartPostcopy,
                summary: "switch the guest over before all of its memory is there"
            ),
            HMPCommand(
                "announce_self",
                parameters: [
                    HMPParameter("interfaces", .word, isOptional: true),
                    HMPParameter("id", .word, isOptional: true),
                ],
                summary: "let network cards announce where they are now",
                action: announce
            ),
        ]
    }

    var migrationInformation: [HMPCommand] {
        [HMPCommand("migrate", summary: "show how the migration is doing", action: showMigration)]
    }

    private func migrate(_ invocation: HMPInvocation) async throws(QMPError) {
        let migration = MigrateArguments(
            uri: invocation.arguments.text("uri"),
            resume: invocation.arguments.isOn("resume")
        )
        try await invocation.perform(.migrate(migration), by: execute)
        guard !invocation.arguments.isOn("detach") else { return }
        guard invocation.console.canSuspend else {
            invocation.console.writeLine(
                "terminal does not allow synchronous migration, continuing detached"
            )
            return
        }
        try await MigrationWatch(invocation, pace: pace, execute: execute).run()
    }

    private func takeIn(_ invocation: HMPInvocation) async throws(QMPError) {
        let arguments = MigrateIncomingArguments(
            uri: invocation.arguments.text("uri"),
            exitOnError: false
        )
        try await invocation.perform(.migrateIncoming(arguments), by: execute)
    }

    private func goOn(_ invocation: HMPInvocation) async throws(QMPError) {
        let name = invocation.arguments.text("state")
        guard let state = MigrationStatus(name: name) else { throw .invalidName(name) }
        let arguments = MigrateContinueArguments(state: state)
        try await invocation.perform(.migrateContinue(arguments), by: execute)
    }

    private func recover(_ invocation: HMPInvocation) async throws(QMPError) {
        let arguments = MigrateRecoverArguments(uri: invocation.arguments.text("uri"))
        try await invocation.perform(.migrateRecover(arguments), by: execute)
    }

    private func announce(_ invocation: HMPInvocation) async throws(QMPError) {
        let parameters = try await invocation.query(
            .queryMigrateParameters,
            MigrationParameters.self,
            by: execute
        )
        let interfaces = invocation.arguments.text("interfaces")
        let arguments = AnnounceSelfArguments(
            initial: Int64(clamping: parameters.announceInitial),
            max: Int64(clamping: parameters.announceMax),
            rounds: Int64(clamping: parameters.announceRounds),
            step: Int64(clamping: parameters.announceStep),
            interfaces: interfaces.isEmpty
                ? nil : interfaces.split(separator: ",").map(String.init),
            id: invocation.arguments.has("id") ? invocation.arguments.text("id") : nil
        )
        try await invocation.perform(.announceSelf(arguments), by: execute)
    }

    private func showMigration(_ invocation: HMPInvocation) async throws(QMPError) {
        let info = try await invocation.query(.queryMigrate, MigrationInfo.self, by: execute)
        invocation.console.write(info.hmpText)
    }
}

extension QMPError {
    /// A name that isn't one of those that an argument can have, in QEMU's words.
    static func invalidName(_ name: String) -> QMPError {
        QMPError("invalid parameter value: \(name)")
    }
}
