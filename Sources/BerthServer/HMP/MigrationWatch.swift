internal import BerthMonitor
internal import BerthQAPI

/// Waits on a console for the end of a migration, and shows on a terminal how far it is.
public struct MigrationWatch: Sendable {
    /// How often it looks.
    public struct Pace: Sendable {
        /// Time from one look at the migration to the next.
        public var poll: Duration
        /// Least time from one progress line to the next.
        public var redraw: Duration

        /// Chooses a pace.
        public init(poll: Duration, redraw: Duration) {
            self.poll = poll
            self.redraw = redraw
        }

        /// 50 ms until the prompt returns are no wait to a person, and 20 queries a second no
        /// load; a line that changes more often than four times a second can't be read.
        public static let standard = Pace(poll: .milliseconds(50), redraw: .milliseconds(250))
    }

    private let invocation: HMPInvocation
    private let pace: Pace
    private let execute: HMPCommands.Execute

    init(_ invocation: HMPInvocation, pace: Pace, execute: @escaping HMPCommands.Execute) {
        self.invocation = invocation
        self.pace = pace
        self.execute = execute
    }

    /// Returns when the migration has ended or waits for a command, or nobody is there any more.
    ///
    /// - Throws: why it failed.
    func run() async throws(QMPError) {
        let clock = ContinuousClock()
        var nextLine = clock.now
        while true {
            let info = try await invocation.query(.queryMigrate, MigrationInfo.self, by: execute)
            let status = info.status ?? .none
            guard status.goesOnByItself else { return try end(info, status) }
            if invocation.console.isInteractiveTerminal, clock.now >= nextLine {
                draw(MigrationProgressLine.text(info))
                nextLine = clock.now + pace.redraw
            }
            do {
                try await clock.sleep(for: pace.poll)
            } catch {
                // Cancelled: whoever waits for this task doesn't any more.
                return
            }
            guard invocation.console.isOpen else { return }
        }
    }

    private func end(_ info: MigrationInfo, _ status: MigrationStatus) throws(QMPError) {
        if invocation.console.isInteractiveTerminal {
            draw(MigrationProgressLine.text(info))
            invocation.console.write("\n")
            if status == .preSwitchover {
                invocation.console.writeLine(
                    "waiting: go on with 'migrate_continue pre-switchover', or migrate_cancel"
                )
            }
        }
        guard status == .failed else { return }
        throw QMPError(info.errorDesc ?? "migration failed")
    }

    /// Draws a line over the one before.
    private func draw(_ text: String) {
        // The last column stays free: some terminals wrap as soon as it is written.
        let shown = text.prefix(max(invocation.console.columnCount - 1, 0))
        invocation.console.write("\r\(shown)\u{1B}[K")
    }
}

extension MigrationStatus {
    /// Whether something else will follow without a command.
    ///
    /// QEMU's monitor stops waiting in `device` and `cancelling`, too, where it sees them; nobody
    /// who waits for a migration wants the prompt just before it is done.
    fileprivate var goesOnByItself: Bool {
        switch self {
        case .setup, .active, .device, .cancelling, .waitUnplug, .postcopyActive,
            .postcopyRecoverSetup, .postcopyRecover:
            true
        case .none, .cancelled, .completed, .failed, .colo, .preSwitchover, .postcopyPaused:
            false
        }
    }
}
