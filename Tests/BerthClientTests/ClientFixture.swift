import BerthJSON
import BerthMonitor
import BerthQAPI
import BerthSystem
import Glibc
import Synchronization
import Testing

@testable import BerthClient

/// An endpoint that answers a few commands, and notes what it was asked.
final class AnsweringHandler: QMPHandler {
    private let events: EventBroadcaster
    private let log = Mutex<[String]>([])
    private let looks = Mutex(0)

    /// The commands that came, but for those that a console asks by itself.
    var names: [String] { log.withLock { $0 } }

    init(events: EventBroadcaster) {
        self.events = events
    }

    func execute(
        _ command: QMPCommand,
        monitor: MonitorContext
    ) async throws(QMPError) -> JSONValue {
        switch command {
        case .queryMigrate: return nextLook()
        case .xQueryWorkload:
            guard looks.withLock({ $0 }) > 1 else { return [] }
            return [["id": "w0", "pattern": "increment", "throughput": 1024, "verdict": "clean"]]
        default: break
        }
        log.withLock { $0.append(command.name) }
        switch command {
        case .stop: events.emit(.stop)
        case .queryStatus: return ["status": "running", "running": true]
        case .humanMonitorCommand(let arguments):
            return .string("<\(arguments.commandLine)>\r\n")
        case .getfd: throw QMPError("no descriptor")
        default: break
        }
        return [:]
    }

    func executeOOB(
        _ command: QMPCommand,
        monitor: MonitorContext
    ) async throws(QMPError) -> JSONValue { [:] }

    /// A migration that has begun at the second look and ended at the third.
    private func nextLook() -> JSONValue {
        let look = looks.withLock { looks in
            looks += 1
            return looks
        }
        return switch look {
        case 1: [:]
        case 2: ["status": "active", "ram": ["total": 4096, "remaining": 4096]]
        default: ["status": "completed", "downtime": 3, "ram": ["total": 4096, "remaining": 0]]
        }
    }
}

/// A monitor server on a socket without a file, and consoles to it.
final class ClientFixture: Sendable {
    struct Shown: Sendable {
        var status: CInt
        /// What was shown, with LF line ends.
        var text: String
        var errors: [String]
    }

    let handler: AnsweringHandler
    private let server: MonitorServer
    private let name = "berth-client-\(getpid())-\(UInt64.random(in: 0...(.max)))"

    init(_ mode: MonitorConfiguration.Mode) throws {
        let events = EventBroadcaster()
        handler = AnsweringHandler(events: events)
        let say = HMPCommand(
            "say",
            parameters: [HMPParameter("text", .rest)],
            summary: "say it"
        ) { invocation in
            invocation.console.writeLine(invocation.arguments.text("text"))
        }
        let table = HMPCommandTable([say], information: [])
        server = MonitorServer(
            package: "test",
            handler: handler,
            events: events,
            makeConsole: { _, context in
                HMPSession(shell: HMPShell(table: table, monitor: context), version: "10.0.2")
            },
            report: { Issue.record("\($0)") }
        )
        let socket = CharacterDevice.Socket(
            address: .unix(path: name, isAbstract: true),
            isServer: true
        )
        let device = CharacterDevice(label: "mon", backend: .socket(socket))
        try server.open(MonitorConfiguration(device: device, mode: mode))
        try server.start()
    }

    func close() async { await server.close() }

    /// Connects a console and does something with it.
    func session(_ body: @escaping @Sendable (ConsoleSession) -> CInt) async -> Shown {
        await onThread { [name] in
            Self.run(body) { () throws(ClientError) in
                do {
                    let address = try SocketAddress.unix(name, isAbstract: true)
                    guard let socket = try Sockets.connect(to: address) else {
                        throw ClientError.broken("aborted")
                    }
                    return MonitorConnection(socket, name: "test")
                } catch {
                    throw .broken("\(error)")
                }
            }
        }
    }

    /// Connects a console that reads these lines from a pipe.
    func session(lines: String) async -> Shown {
        await session { session in
            guard let pipe = try? OwnedDescriptor.pipe() else { return -1 }
            let bytes = Array(lines.utf8)
            let input = pipe.takeFirstAfterWriting(bytes)
            return session.run(linesOf: input.raw)
        }
    }

    /// Runs a console on a connection.
    static func run(
        _ body: (ConsoleSession) -> CInt,
        connecting: () throws(ClientError) -> MonitorConnection
    ) -> Shown {
        let console = HMPTextConsole()
        var errors: [String] = []
        var status: CInt = 1
        do throws(ClientError) {
            let session = try ConsoleSession(connecting(), output: console) { errors.append($0) }
            status = body(session)
        } catch {
            errors.append(error.message)
        }
        let text = console.text.unicodeScalars.filter { $0 != "\r" }.map(String.init).joined()
        return Shown(status: status, text: text, errors: errors)
    }
}

extension DescriptorPair {
    /// Writes into the second end and closes it.
    consuming func takeFirstAfterWriting(_ bytes: [UInt8]) -> OwnedDescriptor {
        #expect(write(second.raw, bytes, bytes.count) == bytes.count)
        return takeFirst()
    }
}
