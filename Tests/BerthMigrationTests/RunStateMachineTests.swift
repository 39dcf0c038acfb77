import BerthMigration
import BerthQAPI
import Testing

/// The run state under every command and migration step, as a table.
@Suite struct RunStateMachineTests {
    enum Step: CaseIterable {
        case stop, cont, reset, stopForMigration, restore, release
    }

    /// The next state, and whether an event (STOP or RESUME) is due; a command that has no
    /// next state is refused.
    typealias Row = (next: RunState?, event: Bool)

    /// States that an endpoint can be in, and how it gets there.
    static func machine(in state: RunState) throws -> RunStateMachine {
        switch state {
        case .inmigrate:
            return RunStateMachine(isIncoming: true, autostart: true)
        case .prelaunch:
            return RunStateMachine(isIncoming: false, autostart: false)
        case .running:
            var machine = RunStateMachine(isIncoming: false, autostart: true)
            _ = try machine.resume()
            return machine
        case .finishMigrate:
            var machine = try Self.machine(in: .running)
            _ = machine.stopForMigration()
            return machine
        case .postmigrate:
            var machine = try Self.machine(in: .finishMigrate)
            machine.releaseAfterMigration()
            return machine
        default:
            var machine = RunStateMachine(isIncoming: true, autostart: true)
            _ = machine.adopt(state)
            return machine
        }
    }

    static let states: [RunState] = [
        .inmigrate, .prelaunch, .running, .paused, .suspended, .finishMigrate, .postmigrate,
        .shutdown, .internalError, .ioError, .guestPanicked, .watchdog,
    ]

    static let table: [RunState: [Step: Row]] = [
        .inmigrate: [
            .stop: (.inmigrate, false), .cont: (.inmigrate, false),
            .reset: (.inmigrate, false),
        ],
        .prelaunch: [
            .stop: (.prelaunch, false), .cont: (.running, true),
            .reset: (.prelaunch, false), .stopForMigration: (.finishMigrate, false),
        ],
        .running: [
            .stop: (.paused, true), .cont: (.running, false), .reset: (.running, false),
            .stopForMigration: (.finishMigrate, true),
        ],
        .paused: [
            .stop: (.paused, false), .cont: (.running, true), .reset: (.prelaunch, false),
            .stopForMigration: (.finishMigrate, false),
        ],
        .suspended: [
            .stop: (.paused, true), .cont: (.suspended, false),
            .reset: (.prelaunch, false), .stopForMigration: (.finishMigrate, true),
        ],
        .finishMigrate: [
            .stop: (.finishMigrate, false), .cont: (nil, false),
            .reset: (.finishMigrate, false), .restore: (.running, true),
            .release: (.postmigrate, false),
        ],
        .postmigrate: [
            .stop: (.postmigrate, false), .cont: (.running, true),
            .reset: (.prelaunch, false),
        ],
        .shutdown: [
            .stop: (.shutdown, false), .cont: (nil, false), .reset: (.prelaunch, false),
            .stopForMigration: (.finishMigrate, false),
        ],
        .internalError: [
            .stop: (.internalError, false), .cont: (nil, false),
            .reset: (.prelaunch, false), .stopForMigration: (.finishMigrate, false),
        ],
        .ioError: [
            .stop: (.ioError, false), .cont: (.running, true), .reset: (.prelaunch, false),
            .stopForMigration: (.finishMigrate, false),
        ],
        .guestPanicked: [
            .stop: (.guestPanicked, false), .cont: (.running, true),
            .reset: (.prelaunch, false), .stopForMigration: (.finishMigrate, false),
        ],
        .watchdog: [
            .stop: (.watchdog, false), .cont: (.running, true),
            .reset: (.prelaunch, false), .stopForMigration: (.finishMigrate, false),
        ],
    ]

    private func take(_ step: Step, _ machine: inout RunStateMachine) throws -> Bool {
        switch step {
        case .stop: return machine.stop()
        case .cont: return try machine.resume()
        case .reset:
            machine.reset()
            return false
        case .stopForMigration: return machine.stopForMigration()
        case .restore: return machine.restoreAfterMigration()
        case .release:
            machine.releaseAfterMigration()
            return false
        }
    }

    @Test(arguments: states)
    func `every command does what the table says`(_ state: RunState) throws {
        let rows = try #require(Self.table[state])
        #expect(
            rows.keys.contains(.stop) && rows.keys.contains(.cont) && rows.keys.contains(.reset)
        )
        for (step, row) in rows {
            var machine = try Self.machine(in: state)
            try #require(machine.state == state)
            guard row.next != nil else {
                #expect(throws: MigrationError.self) { try take(step, &machine) }
                #expect(machine.state == state)
                continue
            }
            let event = try take(step, &machine)
            #expect(event == row.event, "\(state) \(step)")
            #expect(machine.state == row.next, "\(state) \(step)")
        }
    }

    @Test(arguments: [RunState.running, .paused, .prelaunch, .suspended, .ioError])
    func `a migration that fails gives the state back`(_ state: RunState) throws {
        var machine = try Self.machine(in: state)
        _ = machine.stopForMigration()
        #expect(machine.state == .finishMigrate && machine.stateForStream == state)
        let isLive = state == .running || state == .suspended
        let isLiveAgain = machine.restoreAfterMigration()
        #expect(isLiveAgain == isLive)
        #expect(machine.state == state)
    }

    @Test func `a stop during the switchover is remembered`() throws {
        var machine = try Self.machine(in: .finishMigrate)
        _ = machine.stop()
        #expect(machine.stateForStream == .paused)
        let isLiveAgain = machine.restoreAfterMigration()
        #expect(!isLiveAgain)
        #expect(machine.state == .paused)
    }

    @Test(arguments: [
        (RunState?.none, true, RunState.running, true), (.running, true, .running, true),
        (.running, false, .paused, false), (.suspended, true, .suspended, true),
        (.suspended, false, .paused, false), (.paused, true, .paused, false),
        (.prelaunch, true, .prelaunch, false), (.ioError, true, .ioError, false),
        (.shutdown, false, .shutdown, false),
    ])
    func `the stream and autostart decide the state after a load`(
        _ streamed: RunState?,
        _ autostart: Bool,
        _ expected: RunState,
        _ isStarted: Bool
    ) {
        var machine = RunStateMachine(isIncoming: true, autostart: autostart)
        let wasStarted = machine.adopt(streamed)
        #expect(wasStarted == isStarted)
        #expect(machine.state == expected)
    }

    @Test func `stop and cont before the load decide autostart`() throws {
        var machine = RunStateMachine(isIncoming: true, autostart: true)
        let hasStopped = machine.stop()
        #expect(hasStopped == false)
        let hasStarted = machine.adopt(.running)
        #expect(hasStarted == false)
        #expect(machine.state == .paused)

        machine = RunStateMachine(isIncoming: true, autostart: false)
        let isDue = try machine.resume()
        #expect(!isDue)
        let hasResumed = machine.adopt(.running)
        #expect(hasResumed)
        #expect(machine.state == .running)
    }

    @Test(arguments: [RunState.running, .suspended, .paused, .prelaunch])
    func `a snapshot holds the guest and gives it back as it was`(_ state: RunState) throws {
        var machine = try Self.machine(in: state)
        let wasLive = machine.isLive
        #expect(machine.holdForSnapshot() == wasLive)
        #expect(!machine.isLive)
        #expect(machine.stateForStream == state)
        #expect(machine.restoreAfterMigration() == wasLive)
        #expect(machine.state == state)
    }

    @Test func `what is asked of a held guest is done when it is given back`() throws {
        var stopped = try Self.machine(in: .running)
        _ = stopped.holdForSnapshot()
        #expect(stopped.stop() == false)
        #expect(stopped.restoreAfterMigration() == false)
        #expect(stopped.state == .paused)

        var resumed = try Self.machine(in: .paused)
        _ = resumed.holdForSnapshot()
        #expect(try resumed.resume() == false)
        #expect(resumed.restoreAfterMigration() == true)
        #expect(resumed.state == .running)

        var reset = try Self.machine(in: .running)
        _ = reset.holdForSnapshot()
        reset.reset()
        #expect(reset.restoreAfterMigration() == true)
    }

    @Test(arguments: [RunState.running, .suspended, .paused, .prelaunch, .postmigrate])
    func `a guest whose memory is damaged stops for good`(_ state: RunState) throws {
        var machine = try Self.machine(in: state)
        let wasLive = machine.isLive
        #expect(machine.breakDown() == wasLive)
        guard state != .postmigrate else {
            // What is damaged is no longer the guest.
            #expect(machine.state == .postmigrate)
            return
        }
        #expect(machine.state == .internalError)
        #expect(throws: MigrationError.self) { _ = try machine.resume() }
    }

    @Test func `a guest that breaks down during the switchover doesn't come back`() throws {
        var machine = try Self.machine(in: .finishMigrate)
        #expect(machine.breakDown() == false)
        #expect(machine.state == .finishMigrate)
        #expect(machine.restoreAfterMigration() == false)
        #expect(machine.state == .internalError)
    }
}
