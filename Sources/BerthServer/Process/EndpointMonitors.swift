import BerthMonitor
import BerthQAPI
import BerthSystem
import Glibc

/// All monitors of an endpoint: those on devices, and a human one on the terminal.
final class EndpointMonitors {
    private let server: MonitorServer
    private let table: HMPCommandTable
    private var terminal: HMPTerminal?

    /// Makes the server; no monitor is open yet.
    ///
    /// - Parameter report: takes a line for the user.
    init(of endpoint: Endpoint, report: @escaping @Sendable (String) -> Void) {
        let dispatcher = CommandDispatcher()
        let table = HMPCommands(handler: endpoint, dispatcher: dispatcher).table
        self.table = table
        server = MonitorServer(
            package: BerthVersion.info.package,
            handler: endpoint,
            events: endpoint.events,
            dispatcher: dispatcher,
            makeConsole: { _, context in
                HMPSession(
                    shell: HMPShell(table: table, monitor: context),
                    version: BerthVersion.shown
                )
            },
            report: report
        )
        endpoint.monitors.set(server)
    }

    /// Opens a monitor's device.
    ///
    /// - Parameter location: the option that named the device, for messages.
    @available(*, noasync)
    func open(_ configuration: MonitorConfiguration, location: String?) throws(QMPError) {
        let isOnTerminal =
            configuration.mode == .readline && configuration.device.backend == .standardStreams
            && HMPTerminal.canEdit(input: STDIN_FILENO, output: STDOUT_FILENO)
        do {
            if isOnTerminal {
                let context = MonitorContext(label: configuration.device.label)
                terminal = try HMPTerminal(
                    input: OwnedDescriptor.duplicate(of: STDIN_FILENO),
                    output: OwnedDescriptor.duplicate(of: STDOUT_FILENO),
                    shell: HMPShell(table: table, monitor: context),
                    version: BerthVersion.shown
                )
            } else {
                try server.open(configuration)
            }
        } catch {
            throw QMPError(location.map { "\($0): \(error)" } ?? "\(error)")
        }
    }

    /// Begins to serve clients.
    func start() throws(QMPError) {
        do {
            try server.start()
            try terminal?.start()
        } catch {
            throw QMPError("cannot serve monitors: \(error)")
        }
    }

    /// Ends all monitors; what is still to be written is written.
    @available(*, noasync)
    func close() {
        let server = server
        Blocking.value { () async in await server.close() }
        terminal?.stop()
        terminal?.join()
    }
}
