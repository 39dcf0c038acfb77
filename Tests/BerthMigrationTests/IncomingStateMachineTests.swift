import BerthMigration
import BerthQAPI
import Testing

/// Every pair of state and event of an incoming migration, as a table.
@Suite struct IncomingStateMachineTests {
    typealias Event = IncomingStateMachine.Event
    typealias Action = IncomingStateMachine.Action

    struct Row {
        let next: MigrationStatus
        let actions: [Action]

        init(_ next: MigrationStatus, _ actions: [Action] = []) {
            self.next = next
            self.actions = actions
        }
    }

    static let paths: [MigrationStatus: [Event]] = [
        .none: [], .setup: [.start], .active: [.start, .streamBegan],
        .completed: [.start, .streamBegan, .loaded], .failed: [.start, .failed],
    ]

    static let table: [MigrationStatus: [Event: Row]] = [
        .none: [
            .start: Row(.setup, [.report(.setup)]), .openFailed: Row(.none),
            .streamBegan: Row(.none), .loaded: Row(.none), .failed: Row(.none),
        ],
        .setup: [
            .start: Row(.setup), .openFailed: Row(.none),
            .streamBegan: Row(.active, [.report(.active)]), .loaded: Row(.setup),
            .failed: Row(.failed, [.report(.failed), .giveUp]),
        ],
        .active: [
            .start: Row(.active), .openFailed: Row(.active), .streamBegan: Row(.active),
            .loaded: Row(.completed, [.adoptGuest, .report(.completed)]),
            .failed: Row(.failed, [.report(.failed), .giveUp]),
        ],
        .completed: [
            .start: Row(.completed), .openFailed: Row(.completed), .streamBegan: Row(.completed),
            .loaded: Row(.completed), .failed: Row(.completed),
        ],
        .failed: [
            .start: Row(.setup, [.report(.setup)]), .openFailed: Row(.failed),
            .streamBegan: Row(.failed), .loaded: Row(.failed), .failed: Row(.failed),
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
        var machine = IncomingStateMachine()
        for event in try #require(Self.paths[state]) {
            _ = machine.handle(event)
        }
        try #require(machine.status == state)
        let row = try #require(Self.table[state]?[event])
        #expect(machine.canStart == (state == .none || state == .failed))
        #expect(machine.handle(event) == row.actions)
        #expect(machine.status == row.next)
    }
}
