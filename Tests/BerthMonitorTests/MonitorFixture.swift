import BerthMonitor
import BerthSystem
import Glibc
import Synchronization
import Testing

/// A directory of its own for sockets, and a monitor server with a stub behind it.
final class MonitorFixture: Sendable {
    /// A console that answers every line with itself; `bye` ends the connection.
    final class EchoSession: MonitorSession {
        private let client = Mutex<MonitorClient?>(nil)
        var acceptsInput: Bool { true }

        func connect(_ client: MonitorClient) {
            self.client.withLock { $0 = client }
            client.write(Array("hello\r\n".utf8))
        }

        func receive(_ bytes: [UInt8], descriptors: consuming ReceivedDescriptors) {
            let client = client.withLock { $0 }
            client?.write(bytes + [0x0D, 0x0A])
            if bytes.starts(with: Array("bye".utf8)) { client?.finish() }
        }

        func endInput() {}
        func disconnect() { client.withLock { $0 = nil } }
    }

    let directory: String
    let handler: StubHandler
    let server: MonitorServer
    private let reports: Reports
    /// What a user was told while devices were opened.
    var reported: [String] { reports.lines.withLock { $0 } }

    private final class Reports: Sendable {
        let lines = Mutex<[String]>([])
    }

    init() throws {
        var template = Array("/tmp/berth-mon-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw TestClient.Failure(description: "mkdtemp: errno \(errno)")
        }
        directory = String(
            decoding: template.dropLast().map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
        let events = EventBroadcaster()
        handler = StubHandler(events: events)
        let reports = Reports()
        self.reports = reports
        server = MonitorServer(
            package: "test",
            handler: handler,
            events: events,
            makeConsole: { _, _ in EchoSession() },
            report: { line in reports.lines.withLock { $0.append(line) } }
        )
    }

    deinit {
        for name in ["0", "1", "2", "file"] { unlink(path(name)) }
        rmdir(directory)
    }

    func path(_ name: String) -> String { "\(directory)/\(name)" }

    /// Opens listening unix sockets named by their number, and starts all.
    static func listening(
        _ count: Int = 1,
        isPretty: Bool = false,
        mode: MonitorConfiguration.Mode = .control
    ) throws -> MonitorFixture {
        let fixture = try MonitorFixture()
        for index in 0..<count {
            try fixture.open(
                .unix(path: fixture.path("\(index)")),
                isServer: true,
                mode: mode,
                isPretty: isPretty,
                label: "mon\(index)"
            )
        }
        try fixture.server.start()
        return fixture
    }

    @discardableResult
    func open(
        _ address: CharacterDevice.Socket.Address,
        isServer: Bool,
        mode: MonitorConfiguration.Mode = .control,
        isPretty: Bool = false,
        reconnectDelay: Duration? = nil,
        waitsForClient: Bool = false,
        label: String = "mon"
    ) throws -> MonitorContext {
        let socket = CharacterDevice.Socket(
            address: address,
            isServer: isServer,
            waitsForClient: waitsForClient,
            reconnectDelay: reconnectDelay
        )
        return try server.open(
            MonitorConfiguration(
                device: CharacterDevice(label: label, backend: .socket(socket)),
                mode: mode,
                isPretty: isPretty
            )
        )
    }

    func openNull() throws {
        let device = CharacterDevice(label: "n", backend: .null)
        try server.open(MonitorConfiguration(device: device, mode: .control))
    }

    func connect(_ name: String = "0") throws -> TestClient {
        try TestClient(path: path(name))
    }

    /// Waits until something has come true, which takes no longer than a context switch or two.
    static func until(_ condition: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while !condition() {
            guard ContinuousClock.now < deadline else {
                throw TestClient.Failure(description: "it never came true")
            }
            try await Task.sleep(for: .milliseconds(1))
        }
    }
}
