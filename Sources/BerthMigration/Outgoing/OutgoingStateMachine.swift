public import BerthQAPI

/// The decisions of an outgoing migration: an event comes in, the actions to perform go out.
///
/// Overview: `MigrationStatus` as QEMU shows it is the state; the data thread, the operator and
/// the transport are the events. No I/O, no clock.
///
/// Function: precopy and file migrations run setup → active → (guest stopped) → [pre-switchover]
/// → device → completed. Failure leads to failed, a cancel to cancelling and, once the data
/// thread has ended, to cancelled; both put the guest back as it was. A background snapshot runs
/// setup → active → completed; in active it holds the guest for an instant.
///
/// Odd cases: a cancel while the data thread waits for the operator (pre-switchover) must release
/// that thread too, so `abortWork` always comes with it. A thread that finishes after the cancel
/// does not turn the result into completed: the operator was promised a guest that runs here. Only
/// where the destination has confirmed that it runs the guest does completed win: one guest running
/// in two places would be worse than a promise broken.
public struct OutgoingStateMachine: Sendable, Equatable {
    /// What can happen.
    public enum Event: Sendable, Equatable, CaseIterable {
        /// `migrate` was accepted.
        case start
        /// The data thread wrote the headers and did the first bitmap sync.
        case setUp
        /// What is left fits into the allowed downtime: the guest may stop.
        ///
        /// For a background snapshot: memory is prepared, the guest may be held.
        case converged
        /// The instant of a background snapshot is over: the guest may go on.
        case instantTaken
        /// `migrate-continue`.
        case proceed
        /// `migrate_cancel`.
        case cancel
        /// The data thread ended with everything written and acknowledged.
        case finished
        /// The transport could not be opened, or the data thread ended with an error.
        case failed
    }

    /// What to do, in this order.
    public enum Action: Sendable, Equatable {
        /// Show the new status and emit its event.
        case report(MigrationStatus)
        /// Stop the guest: run state finish-migrate.
        case stopGuest
        /// Hold the guest for the instant of a background snapshot.
        case holdGuest
        /// Put the guest back into the run state that it had before it was stopped or held.
        case restoreGuest
        /// The guest has moved away: run state postmigrate.
        case releaseGuest
        /// Let the data thread write the rest.
        case releaseWorker
        /// Make the data thread end, wherever it is.
        case abortWork
    }

    /// The state shown by `query-migrate`.
    public private(set) var status: MigrationStatus = .none
    /// Whether this migration stopped the guest.
    public private(set) var hasStoppedGuest = false
    /// Capability pause-before-switchover, latched at the start.
    public var pausesBeforeSwitchover = false

    /// Capability background-snapshot, latched at the start: the guest stays here and runs on.
    public var takesSnapshot = false

    /// Capability return-path, latched at the start: finished then means that the destination has
    /// taken the guest over.
    public var hasVerdict = false

    /// Makes a machine that has never migrated.
    public init() {}

    /// Whether a data thread is at work.
    public var isRunning: Bool {
        switch status {
        case .setup, .active, .preSwitchover, .device, .cancelling: true
        default: false
        }
    }

    /// Takes one event.
    ///
    /// An event that means nothing in the present state gives no action.
    public mutating func handle(_ event: Event) -> [Action] {
        switch (status, event) {
        case (.setup, .setUp):
            return enter(.active)
        case (.active, .converged) where takesSnapshot:
            hasStoppedGuest = true
            return [.holdGuest, .releaseWorker]
        case (.active, .instantTaken), (.cancelling, .instantTaken):
            return restoreGuest()
        case (.active, .finished) where takesSnapshot:
            return restoreGuest() + enter(.completed)
        case (.active, .converged):
            hasStoppedGuest = true
            if pausesBeforeSwitchover {
                return [.stopGuest] + enter(.preSwitchover)
            }
            return [.stopGuest] + enter(.device) + [.releaseWorker]
        case (.preSwitchover, .proceed):
            return enter(.device) + [.releaseWorker]
        case (.device, .finished):
            return enter(.completed) + [.releaseGuest]
        case (.setup, .cancel), (.active, .cancel), (.preSwitchover, .cancel), (.device, .cancel):
            return enter(.cancelling) + [.abortWork]
        case (.cancelling, .finished) where hasVerdict:
            // The destination runs the guest: it must not run here, too.
            return enter(.completed) + [.releaseGuest]
        case (.cancelling, .finished), (.cancelling, .failed):
            return restoreGuest() + enter(.cancelled)
        case (.setup, .failed), (.active, .failed), (.preSwitchover, .failed), (.device, .failed),
            // The thread may end early only by a bug of ours; a lost guest would be worse.
            (.setup, .finished), (.active, .finished), (.preSwitchover, .finished):
            return enter(.failed) + restoreGuest()
        case (_, .start) where !isRunning:
            hasStoppedGuest = false
            return enter(.setup)
        default:
            return []
        }
    }

    private mutating func enter(_ status: MigrationStatus) -> [Action] {
        self.status = status
        return [.report(status)]
    }

    private mutating func restoreGuest() -> [Action] {
        guard hasStoppedGuest else { return [] }
        hasStoppedGuest = false
        return [.restoreGuest]
    }
}
