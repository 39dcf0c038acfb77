public import BerthQAPI

/// The decisions of an incoming migration: an event comes in, the actions to perform go out.
///
/// Overview: none → setup → active → completed, or → failed from anywhere.
///
/// Odd cases: opening the transport can fail while the command that asked for it is still being
/// answered; the state then goes back to none, so that a retry works (QEMU stays in setup for
/// ever). After a failed load with `exit-on-error` off, `start` is accepted again.
public struct IncomingStateMachine: Sendable, Equatable {
    /// What can happen.
    public enum Event: Sendable, Equatable, CaseIterable {
        /// `migrate-incoming` or `-incoming` was accepted.
        case start
        /// The transport could not be opened or listened on.
        case openFailed
        /// The first bytes of a stream are here.
        case streamBegan
        /// Everything is loaded and checked.
        case loaded
        /// The stream or the transport failed.
        case failed
    }

    /// What to do, in this order.
    public enum Action: Sendable, Equatable {
        /// Show the new status and emit its event.
        case report(MigrationStatus)
        /// Take over device state and run state, and start the guest if it is to run.
        case adoptGuest
        /// End the process, or stay, as `exit-on-error` says.
        case giveUp
    }

    /// The state shown by `query-migrate`.
    public private(set) var status: MigrationStatus = .none

    /// Makes a machine that waits for nothing yet.
    public init() {}

    /// Whether `start` would be accepted.
    public var canStart: Bool { status == .none || status == .failed }

    /// Takes one event.
    ///
    /// An event that means nothing in the present state gives no action.
    public mutating func handle(_ event: Event) -> [Action] {
        switch (status, event) {
        case (.none, .start), (.failed, .start):
            return enter(.setup)
        case (.setup, .openFailed):
            status = .none
            return []
        case (.setup, .streamBegan):
            return enter(.active)
        case (.active, .loaded):
            return [.adoptGuest] + enter(.completed)
        case (.setup, .failed), (.active, .failed):
            return enter(.failed) + [.giveUp]
        default:
            return []
        }
    }

    private mutating func enter(_ status: MigrationStatus) -> [Action] {
        self.status = status
        return [.report(status)]
    }
}
