public import BerthSystem
internal import Synchronization

/// All monitors of an endpoint.
///
/// First every device is opened, in the order of the command line, then all are started: clients
/// are greeted only when the endpoint is complete.
public final class MonitorServer: Sendable {
    /// Makes what is spoken on a device in readline mode.
    public typealias ConsoleMaker =
        @Sendable (MonitorConfiguration, MonitorContext) -> any MonitorSession

    /// How long `close()` waits for the command that is running; all else has its own limits.
    private static let commandLimit = Duration.seconds(1)

    private struct State: Sendable {
        var ports: [MonitorPort] = []
        var isClosing = false
    }

    /// The order in which commands run; the human monitors' commands belong into it, too.
    public let dispatcher: CommandDispatcher
    /// Where events for all QMP clients are emitted.
    public let events: EventBroadcaster
    private let package: String
    private let handler: any QMPHandler
    private let makeConsole: ConsoleMaker
    private let report: @Sendable (String) -> Void
    private let state = Mutex(State())

    /// No monitors yet.
    ///
    /// - Parameters:
    ///   - package: free text about the build, part of every greeting.
    ///   - handler: carries out QMP commands.
    ///   - events: where the endpoint emits its events.
    ///   - dispatcher: gives commands their order.
    ///   - makeConsole: makes what is spoken on devices in readline mode.
    ///   - report: takes what a user should read while a device isn't usable, one line without an
    ///     end; called from any thread.
    public init(
        package: String,
        handler: any QMPHandler,
        events: EventBroadcaster,
        dispatcher: CommandDispatcher = CommandDispatcher(),
        makeConsole: @escaping ConsoleMaker,
        report: @escaping @Sendable (String) -> Void
    ) {
        self.package = package
        self.handler = handler
        self.events = events
        self.dispatcher = dispatcher
        self.makeConsole = makeConsole
        self.report = report
    }

    /// Opens a monitor's device: listens or connects, and waits for the first client where the
    /// configuration says so.
    ///
    /// - Returns: the monitor, which `human-monitor-command` and descriptors may refer to.
    /// - Throws: `MonitorDeviceError`; what was opened before stays open.
    @available(*, noasync, message: "blocks its thread")
    @discardableResult
    public func open(
        _ configuration: MonitorConfiguration
    ) throws(MonitorDeviceError) -> MonitorContext {
        let context = MonitorContext(label: configuration.device.label)
        let session: any MonitorSession
        switch configuration.mode {
        case .control:
            let qmp = QMPSession(
                context: context,
                isPretty: configuration.isPretty,
                package: package,
                handler: handler,
                dispatcher: dispatcher
            )
            events.attach(qmp)
            session = qmp
        case .readline: session = makeConsole(configuration, context)
        }
        let port: MonitorPort
        do {
            port = try MonitorPort(
                device: configuration.device,
                session: session,
                report: report
            )
        } catch {
            throw MonitorDeviceError(label: configuration.device.label, cause: .system(error))
        }
        let isClosing = state.withLock { state in
            if !state.isClosing { state.ports.append(port) }
            return state.isClosing
        }
        guard !isClosing else {
            throw MonitorDeviceError(label: configuration.device.label, cause: .aborted)
        }
        try port.open()
        return context
    }

    /// Begins to serve clients on all devices.
    ///
    /// - Throws: `SystemCallError` for `pthread_create`.
    public func start() throws(SystemCallError) {
        for (index, port) in state.withLock({ $0.ports }).enumerated() {
            try port.start(threadName: "berth-mon-\(index % 100_000)")
        }
    }

    /// Ends all monitors.
    ///
    /// The command that is running is answered, pending output is written, connections and
    /// listeners are closed, and the files of unix sockets are removed. Takes at most a second for
    /// each of the first two if a command or a client doesn't do its part. A device that still
    /// waits for its first client (`open` in another thread) stops doing so.
    public func close() async {
        dispatcher.close()
        let ports = state.withLock { state in
            state.isClosing = true
            defer { state.ports = [] }
            return state.ports
        }
        await dispatcher.waitUntilIdle(limit: Self.commandLimit)
        await withTaskGroup { group in
            for port in ports { group.addTask { await port.stop() } }
        }
    }

    /// The devices, as `query-chardev` lists them.
    public var devices: [MonitorDeviceStatus] {
        state.withLock { $0.ports }.map(\.status)
    }
}

/// A monitor's device as `query-chardev` shows it.
public struct MonitorDeviceStatus: Sendable, Equatable {
    /// QAPI: `label`.
    public let label: String
    /// QAPI: `filename`; begins with `disconnected:` while a socket has no client.
    public let fileName: String
    /// QAPI: `frontend-open`, always true for monitors.
    public let isOpen = true
}
