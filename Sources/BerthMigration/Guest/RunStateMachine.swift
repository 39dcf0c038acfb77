public import BerthQAPI

/// The run state of the guest and the rules of `stop`, `cont` and reset.
///
/// Berth has no CPUs: *running* means that workloads in this process may write guest memory and
/// that a migration stops them first. The transitions are QEMU's.
public struct RunStateMachine: Sendable, Equatable {
    /// The state that `query-status` shows.
    public private(set) var state: RunState
    /// Whether the guest starts when an incoming migration completes (`-S` and `stop` clear it).
    public private(set) var autostart: Bool
    /// The state to go back to if a migration that stopped the guest fails, or lets it go on.
    private var stateBeforeMigration: RunState?
    /// Whether the guest is held for the instant of a background snapshot.
    private var isHeld = false

    /// Makes the state of a fresh endpoint.
    ///
    /// - Parameters:
    ///   - isIncoming: started with `-incoming`.
    ///   - autostart: false with `-S`.
    public init(isIncoming: Bool, autostart: Bool) {
        state = isIncoming ? .inmigrate : .prelaunch
        self.autostart = autostart
    }

    /// Whether the guest's writers run in this state.
    public var isLive: Bool { state == .running || state == .suspended }

    /// The state as a stream's globalstate section carries it: that before the migration.
    public var stateForStream: RunState { stateBeforeMigration ?? state }

    /// Takes `stop`.
    ///
    /// - Returns: true if the guest ran before: a STOP event is due.
    public mutating func stop() -> Bool {
        switch state {
        case .inmigrate:
            autostart = false
            return false
        case _ where isHeld, .finishMigrate:
            // QEMU forgets a stop in this state and resumes the guest after a cancel.
            if stateBeforeMigration == .running || stateBeforeMigration == .suspended {
                stateBeforeMigration = .paused
            }
            return false
        case .running, .suspended:
            state = .paused
            return true
        default:
            return false
        }
    }

    /// Takes `cont`.
    ///
    /// - Returns: true if the guest did not run before: a RESUME event is due.
    /// - Throws: `MigrationError` in a state that the guest can't leave this way.
    public mutating func resume() throws(MigrationError) -> Bool {
        switch state {
        case .inmigrate:
            autostart = true
            return false
        case _ where isHeld:
            // It goes on by itself in a moment.
            stateBeforeMigration = .running
            return false
        case .running, .suspended:
            return false
        case .finishMigrate:
            throw MigrationError(
                "cannot resume the guest while a migration has it stopped",
                hint: "cancel the migration with migrate_cancel first"
            )
        case .shutdown, .internalError:
            throw MigrationError(
                "cannot resume the guest in state '\(state.rawValue)'",
                hint: "reset it with system_reset first"
            )
        default:
            state = .running
            return true
        }
    }

    /// Takes `system_reset`.
    public mutating func reset() {
        switch state {
        case _ where isHeld, .running, .inmigrate, .finishMigrate: break
        default: state = .prelaunch
        }
    }

    /// Stops the guest for the end of an outgoing migration.
    ///
    /// - Returns: true if it was live: a STOP event is due.
    public mutating func stopForMigration() -> Bool {
        let wasLive = isLive
        stateBeforeMigration = state
        state = .finishMigrate
        return wasLive
    }

    /// Holds the guest for the instant of a background snapshot.
    ///
    /// - Returns: true if it was live: a STOP event is due.
    public mutating func holdForSnapshot() -> Bool {
        let wasLive = isLive
        stateBeforeMigration = state
        isHeld = true
        if wasLive {
            state = .paused
        }
        return wasLive
    }

    /// Puts the guest back after a migration that failed or was cancelled, or after the instant of
    /// a snapshot.
    ///
    /// - Returns: true if it is live again: a RESUME event is due.
    public mutating func restoreAfterMigration() -> Bool {
        guard let before = stateBeforeMigration else { return false }
        state = before
        stateBeforeMigration = nil
        isHeld = false
        return isLive
    }

    /// The guest has moved away.
    public mutating func releaseAfterMigration() {
        state = .postmigrate
        stateBeforeMigration = nil
    }

    /// The guest's memory was found to be damaged: it may not run on.
    ///
    /// - Returns: true if it was live: a STOP event is due.
    public mutating func breakDown() -> Bool {
        if stateBeforeMigration != nil {
            // It is stopped, and doesn't go on when that ends.
            stateBeforeMigration = .internalError
            return false
        }
        // Who has moved away took sound memory along, or damaged memory that runs elsewhere.
        guard state != .postmigrate else { return false }
        let wasLive = isLive
        state = .internalError
        return wasLive
    }

    /// Takes over the run state that an incoming stream carried.
    ///
    /// - Parameter streamed: run state of the source before it stopped; nil counts as running.
    /// - Returns: true if the guest is live now and was started: a RESUME event is due.
    public mutating func adopt(_ streamed: RunState?) -> Bool {
        switch streamed ?? .running {
        case .running:
            state = autostart ? .running : .paused
            return autostart
        case .suspended:
            state = autostart ? .suspended : .paused
            return autostart
        case let other:
            state = other
            return false
        }
    }
}
