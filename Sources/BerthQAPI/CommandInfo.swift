/// What the schema says of a command besides its arguments.
public struct CommandInfo: Sendable, Equatable {
    /// Name in QMP.
    public let name: String
    /// Whether `exec-oob` may call it.
    public let allowsOOB: Bool
    /// Whether it may be called before the machine is made (`--preconfig`).
    public let allowsPreconfig: Bool
    /// The run states in which it is permitted; nil for all.
    public let permittedRunStates: [RunState]?
    /// QAPI: `features`, such as `deprecated`.
    public let features: [String]

    init(
        name: String,
        allowsOOB: Bool = false,
        allowsPreconfig: Bool = false,
        permittedRunStates: [RunState]? = nil,
        features: [String] = []
    ) {
        self.name = name
        self.allowsOOB = allowsOOB
        self.allowsPreconfig = allowsPreconfig
        self.permittedRunStates = permittedRunStates
        self.features = features
    }

    /// Refuses the command in a run state that isn't one of its own.
    public func checkRunState(_ state: RunState) throws(QMPError) {
        guard let permittedRunStates, !permittedRunStates.contains(state) else { return }
        throw QMPError(
            "command '\(name)' is not permitted in run state '\(state.rawValue)'",
            hint: hint(for: state)
        )
    }

    /// What leads out of a run state in which a command was refused.
    private func hint(for state: RunState) -> String? {
        switch state {
        case .inmigrate: "the guest has not arrived yet, let its migration complete first"
        case .postmigrate: "the guest has been migrated away, take it back with 'cont' first"
        case .shutdown, .internalError: "reset the guest with 'system_reset' first"
        case .finishMigrate: "wait for the migration, or cancel it with 'migrate_cancel'"
        default: nil
        }
    }
}
