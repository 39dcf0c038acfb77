import BerthMigration
import BerthQAPI
import Testing

/// Every pair of state and event of an outgoing migration, as a table.
@Suite struct OutgoingStateMachineTests {
    typealias Event = OutgoingStateMachine.Event
    typealias Action = OutgoingStateMachine.Action

    /// What an event leads to: the next status, and the actions in their order.
    struct Row {
        let next: MigrationStatus
        let actions: [Action]

        init(_ next: MigrationStatus, _ actions: [Action] = []) {
            self.next = next
            self.actions = actions
        }
    }

    /// How to get into a state from the start.
    static let paths: [MigrationStatus: [Event]] = [
        .none: [],
        .setup: [.start],
        .active: [.start, .setUp],
        .preSwitchover: [.start, .setUp, .converged],
        .device: [.start, .setUp, .converged, .proceed],
        .completed: [.start, .setUp, .converged, .proceed, .finished],
        .failed: [.start, .failed],
        .cancelling: [.start, .cancel],
        .cancelled: [.start, .cancel, .failed],
    ]

    static func machine(in state: MigrationStatus) throws -> OutgoingStateMachine {
        var machine = OutgoingStateMachine()
        machine.pausesBeforeSwitchover = true
        for event in try #require(paths[state]) {
            _ = machine.handle(event)
        }
        try #require(machine.status == state)
        return machine
    }

    /// With pause-before-switchover on; a pair that only says its own state is ignored.
    static let table: [MigrationStatus: [Event: Row]] = [
        .none: [
            .instantTaken: Row(.none), .start: Row(.setup, [.report(.setup)]), .setUp: Row(.none),
            .converged: Row(.none),
            .proceed: Row(.none), .cancel: Row(.none), .finished: Row(.none), .failed: Row(.none),
        ],
        .setup: [
            .instantTaken: Row(.setup), .start: Row(.setup),
            .setUp: Row(.active, [.report(.active)]),
            .converged: Row(.setup), .proceed: Row(.setup),
            .cancel: Row(.cancelling, [.report(.cancelling), .abortWork]),
            .finished: Row(.failed, [.report(.failed)]), .failed: Row(.failed, [.report(.failed)]),
        ],
        .active: [
            .instantTaken: Row(.active), .start: Row(.active), .setUp: Row(.active),
            .converged: Row(.preSwitchover, [.stopGuest, .report(.preSwitchover)]),
            .proceed: Row(.active),
            .cancel: Row(.cancelling, [.report(.cancelling), .abortWork]),
            .finished: Row(.failed, [.report(.failed)]), .failed: Row(.failed, [.report(.failed)]),
        ],
        .preSwitchover: [
            .instantTaken: Row(.preSwitchover), .start: Row(.preSwitchover),
            .setUp: Row(.preSwitchover),
            .converged: Row(.preSwitchover),
            .proceed: Row(.device, [.report(.device), .releaseWorker]),
            .cancel: Row(.cancelling, [.report(.cancelling), .abortWork]),
            .finished: Row(.failed, [.report(.failed), .restoreGuest]),
            .failed: Row(.failed, [.report(.failed), .restoreGuest]),
        ],
        .device: [
            .instantTaken: Row(.device), .start: Row(.device), .setUp: Row(.device),
            .converged: Row(.device),
            .proceed: Row(.device),
            .cancel: Row(.cancelling, [.report(.cancelling), .abortWork]),
            .finished: Row(.completed, [.report(.completed), .releaseGuest]),
            .failed: Row(.failed, [.report(.failed), .restoreGuest]),
        ],
        .completed: [
            .instantTaken: Row(.completed), .start: Row(.setup, [.report(.setup)]),
            .setUp: Row(.completed),
            .converged: Row(.completed), .proceed: Row(.completed), .cancel: Row(.completed),
            .finished: Row(.completed), .failed: Row(.completed),
        ],
        .failed: [
            .instantTaken: Row(.failed), .start: Row(.setup, [.report(.setup)]),
            .setUp: Row(.failed), .converged: Row(.failed),
            .proceed: Row(.failed), .cancel: Row(.failed), .finished: Row(.failed),
            .failed: Row(.failed),
        ],
        .cancelling: [
            .instantTaken: Row(.cancelling), .start: Row(.cancelling), .setUp: Row(.cancelling),
            .converged: Row(.cancelling),
            .proceed: Row(.cancelling), .cancel: Row(.cancelling),
            .finished: Row(.cancelled, [.report(.cancelled)]),
            .failed: Row(.cancelled, [.report(.cancelled)]),
        ],
        .cancelled: [
            .instantTaken: Row(.cancelled), .start: Row(.setup, [.report(.setup)]),
            .setUp: Row(.cancelled),
            .converged: Row(.cancelled), .proceed: Row(.cancelled), .cancel: Row(.cancelled),
            .finished: Row(.cancelled), .failed: Row(.cancelled),
        ],
    ]

    @Test func `the table lists every pair`() {
        #expect(Set(Self.table.keys) == Set(Self.paths.keys))
        for (state, rows) in Self.table {
            #expect(Set(rows.keys) == Set(Event.allCases), "\(state)")
        }
    }

    @Test(arguments: Array(paths.keys), Event.allCases)
    func `a pair does what the table says`(_ state: MigrationStatus, _ event: Event) throws {
        var machine = try Self.machine(in: state)
        let row = try #require(Self.table[state]?[event])
        #expect(machine.handle(event) == row.actions)
        #expect(machine.status == row.next)
    }

    @Test func `without the pause the guest stops and the rest is written at once`() throws {
        var machine = OutgoingStateMachine()
        _ = machine.handle(.start)
        _ = machine.handle(.setUp)
        #expect(
            machine.handle(.converged) == [.stopGuest, .report(.device), .releaseWorker]
        )
        #expect(machine.status == .device)
    }

    @Test(arguments: [MigrationStatus.preSwitchover, .device])
    func `a cancel after the stop puts the guest back before cancelled`(
        _ state: MigrationStatus
    ) throws {
        for end in [Event.failed, .finished] {
            var machine = try Self.machine(in: state)
            _ = machine.handle(.cancel)
            #expect(machine.handle(end) == [.restoreGuest, .report(.cancelled)])
            #expect(machine.status == .cancelled)
        }
    }

    @Test func `whatever happens, a guest that was stopped is put back or has moved`() {
        // All sequences of five events after the start.
        let events = Event.allCases
        let count = events.count
        for number in 0..<count * count * count * count * count {
            var machine = OutgoingStateMachine()
            machine.pausesBeforeSwitchover = number % 2 == 0
            machine.takesSnapshot = number % 3 == 0
            var isStopped = false
            var rest = number
            var actions = machine.handle(.start)
            for _ in 0..<5 {
                actions += machine.handle(events[rest % count])
                rest /= count
            }
            for action in actions {
                switch action {
                case .stopGuest, .holdGuest: isStopped = true
                case .restoreGuest, .releaseGuest: isStopped = false
                default: break
                }
            }
            #expect(isStopped == (machine.isRunning && machine.hasStoppedGuest) || !isStopped)
            if !machine.isRunning {
                #expect(!isStopped, "sequence \(number)")
            }
        }
    }

    @Test func `a destination that runs the guest keeps it, whatever was cancelled`() {
        var machine = OutgoingStateMachine()
        machine.hasVerdict = true
        for event in [OutgoingStateMachine.Event.start, .setUp, .converged, .cancel] {
            _ = machine.handle(event)
        }
        #expect(machine.status == .cancelling)
        #expect(machine.handle(.finished) == [.report(.completed), .releaseGuest])
    }

    /// A machine that takes a background snapshot, after these events.
    private func snapshot(after events: Event...) -> OutgoingStateMachine {
        var machine = OutgoingStateMachine()
        machine.takesSnapshot = true
        // Has no meaning for a snapshot; capabilities exclude the pair.
        machine.pausesBeforeSwitchover = true
        for event in events {
            _ = machine.handle(event)
        }
        return machine
    }

    @Test func `a snapshot holds the guest for an instant and lets it go on`() {
        var machine = snapshot(after: .start, .setUp)
        #expect(machine.handle(.converged) == [.holdGuest, .releaseWorker])
        #expect(machine.status == .active)
        #expect(machine.handle(.instantTaken) == [.restoreGuest])
        #expect(machine.handle(.instantTaken) == [])
        #expect(machine.handle(.finished) == [.report(.completed)])
        #expect(machine.status == .completed)
    }

    @Test func `a snapshot that ends while the guest is held puts it back`() {
        var failing = snapshot(after: .start, .setUp, .converged)
        #expect(failing.handle(.failed) == [.report(.failed), .restoreGuest])
        var cancelled = snapshot(after: .start, .setUp, .converged)
        #expect(cancelled.handle(.cancel) == [.report(.cancelling), .abortWork])
        // The thread may just have got that far; the guest needn't wait for its end.
        #expect(cancelled.handle(.instantTaken) == [.restoreGuest])
        #expect(cancelled.handle(.failed) == [.report(.cancelled)])
    }

    @Test func `a snapshot that is cancelled leaves a guest alone that runs again`() {
        var machine = snapshot(after: .start, .setUp, .converged, .instantTaken, .cancel)
        #expect(machine.handle(.failed) == [.report(.cancelled)])
        var finished = snapshot(after: .start, .setUp, .converged, .instantTaken, .cancel)
        #expect(finished.handle(.finished) == [.report(.cancelled)])
    }
}
