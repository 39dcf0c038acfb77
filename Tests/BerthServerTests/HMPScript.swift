import BerthJSON
import BerthMonitor
import BerthQAPI
import Synchronization

@testable import BerthServer

/// Answers QMP commands as a test has written it down, and notes what was asked.
final class HMPScript: Sendable {
    private struct State: Sendable {
        var replies: [String: [Result<JSONValue, QMPError>]] = [:]
        var commands: [QMPCommand] = []
    }

    private let state = Mutex(State())
    /// The monitor that commands must be executed for.
    let monitor = MonitorContext(label: "test")

    /// What was executed, oldest first.
    var commands: [QMPCommand] { state.withLock { $0.commands } }

    /// Adds a reply; the last one of a command answers all further ones, too.
    func reply(_ name: String, _ value: JSONValue) {
        state.withLock { $0.replies[name, default: []].append(.success(value)) }
    }

    /// Has a command fail.
    func fail(_ name: String, _ error: QMPError) {
        state.withLock { $0.replies[name, default: []].append(.failure(error)) }
    }

    /// The commands, executed by this script, and without waiting between two looks.
    var table: HMPCommandTable {
        HMPCommands(pace: MigrationWatch.Pace(poll: .zero, redraw: .zero)) {
            (command: QMPCommand, monitor: MonitorContext) async throws(QMPError) in
            try self.execute(command, monitor)
        }.table
    }

    private func execute(
        _ command: QMPCommand,
        _ monitor: MonitorContext
    ) throws(QMPError) -> JSONValue {
        guard monitor === self.monitor else { throw QMPError("executed for another monitor") }
        let reply = state.withLock { state -> Result<JSONValue, QMPError> in
            state.commands.append(command)
            guard var replies = state.replies[command.name], let first = replies.first else {
                return .success(.object([:]))
            }
            if replies.count > 1 { replies.removeFirst() }
            state.replies[command.name] = replies
            return first
        }
        return try reply.get()
    }

    /// What `human-monitor-command` answers, with LF line ends.
    func output(_ line: String) async -> String {
        let text = await table.output(of: line, monitor: monitor)
        return text.unicodeScalars.filter { $0 != "\r" }.map(String.init).joined()
    }

    /// What a console shows.
    func output(_ line: String, on console: HMPScreen) async -> String {
        let shell = HMPShell(table: table, monitor: monitor)
        _ = await shell.run(line, on: console)
        return console.text
    }
}

/// A console whose kind a test chooses.
final class HMPScreen: HMPConsole {
    let isInteractiveTerminal: Bool
    let columnCount: Int
    private let shown = Mutex("")
    private let open = Mutex(true)

    init(isTerminal: Bool, columnCount: Int = 80) {
        isInteractiveTerminal = isTerminal
        self.columnCount = columnCount
    }

    var text: String { shown.withLock { $0 } }
    var isOpen: Bool { open.withLock { $0 } }

    func write(_ text: String) { shown.withLock { $0 += text } }
    func close() { open.withLock { $0 = false } }
}

extension MigrationRAMStats {
    /// Counters that are all zero but for the page size.
    static let none = MigrationRAMStats(
        transferred: 0,
        remaining: 0,
        total: 0,
        duplicate: 0,
        normal: 0,
        normalBytes: 0,
        dirtyPagesRate: 0,
        mbps: 0,
        dirtySyncCount: 0,
        postcopyRequests: 0,
        pageSize: 4096,
        multifdBytes: 0,
        pagesPerSecond: 0,
        precopyBytes: 0,
        downtimeBytes: 0,
        postcopyBytes: 0,
        dirtySyncMissedZeroCopy: 0
    )
}
