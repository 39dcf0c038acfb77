import BerthJSON
import BerthMonitor
import BerthQAPI
import Synchronization

/// An endpoint that only remembers what it was asked.
final class StubHandler: QMPHandler {
    /// Holds commands up until it is opened.
    final class Barrier: Sendable {
        private let state = Mutex<(isOpen: Bool, waiters: [CheckedContinuation<Void, Never>])>(
            (false, [])
        )
        var waiterCount: Int { state.withLock { $0.waiters.count } }

        func wait() async {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    if !state.isOpen { state.waiters.append(continuation) }
                    return state.isOpen
                }
                if isOpen { continuation.resume() }
            }
        }

        func open() {
            let waiters = state.withLock { state in
                defer { state = (true, []) }
                return state.waiters
            }
            for waiter in waiters { waiter.resume() }
        }
    }

    let events: EventBroadcaster
    /// `query-uuid` waits here.
    let barrier = Barrier()
    private let log = Mutex<[String]>([])
    /// Names of the commands and the monitors they came from, in order.
    var commands: [String] { log.withLock { $0 } }

    init(events: EventBroadcaster) {
        self.events = events
    }

    func execute(
        _ command: QMPCommand,
        monitor: MonitorContext
    ) async throws(QMPError) -> JSONValue {
        log.withLock { $0.append("\(monitor.label) \(command.name)") }
        switch command {
        case .stop: events.emit(.stop)
        case .cont: events.emit(.resume)
        case .quit: events.emit(.shutdown(guest: false, reason: .hostQMPQuit))
        case .queryUUID: await barrier.wait()
        case .getfd(let arguments): try monitor.descriptors.getFD(named: arguments.fdname)
        case .closefd(let arguments): try monitor.descriptors.closeFD(named: arguments.fdname)
        case .humanMonitorCommand(let arguments): return .string(arguments.commandLine)
        case .queryStatus: return ["status": "running", "running": true]
        default: break
        }
        return [:]
    }

    func executeOOB(
        _ command: QMPCommand,
        monitor: MonitorContext
    ) async throws(QMPError) -> JSONValue {
        log.withLock { $0.append("\(monitor.label) oob \(command.name)") }
        return ["oob": true]
    }
}
