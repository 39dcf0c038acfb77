import BerthMigration
import BerthMonitor
import BerthQAPI
import BerthSystem
import BerthTransport
import Glibc

/// `berth run` as a process: from the command line to the exit status.
///
/// The order is QEMU's: options, help, fork, pid file, objects, monitors' devices (in the order of
/// the command line), the guest's memory, greeting, incoming migration or start of the guest.
public struct EndpointProcess {
    private let program: String

    /// Names the program as its messages do.
    public init(program: String) {
        self.program = program
    }

    /// Runs an endpoint until something ends it.
    ///
    /// - Returns: exit status: 0 after `quit` or a signal, 1 after a failure.
    @available(*, noasync)
    public func run(_ arguments: [String]) -> Int32 {
        let result = CommandLineReader.read(program: program, arguments: arguments)
        StandardError.write(result.messages)
        switch result.outcome {
        case .failure:
            return 1
        case .answer(let text):
            print(text, terminator: "")
            return 0
        case .start(let configuration):
            do throws(QMPError) {
                return try start(configuration)
            } catch {
                report(error, configuration)
                return 1
            }
        }
    }

    private func report(_ error: QMPError, _ configuration: EndpointConfiguration) {
        let hints = error.hint.map { [$0] } ?? []
        StandardError.write(configuration.messageFormat.line(error.desc, hints: hints))
    }

    private func start(_ configuration: EndpointConfiguration) throws(QMPError) -> Int32 {
        Signals.ignoreBrokenPipes()
        if let name = configuration.processName {
            NamedThread.nameCurrent(name)
        }
        guard configuration.daemonizes else {
            return try serve(configuration, whenReady: { () throws(QMPError) in })
        }
        do {
            var daemon: Daemon? = try Daemon()
            return try serve(configuration) { () throws(QMPError) in
                do {
                    try daemon.take()?.becomeReady()
                } catch {
                    throw QMPError("cannot daemonize: \(error)")
                }
            }
        } catch let error as QMPError {
            throw error
        } catch {
            throw QMPError("cannot daemonize: \(error)")
        }
    }

    private func serve(
        _ configuration: EndpointConfiguration,
        whenReady: () throws(QMPError) -> Void
    ) throws(QMPError) -> Int32 {
        // Threads inherit the mask, so this comes before the first of them.
        let signals = EndingSignals.block()
        let pidFile = try configuration.pidFile.map { path throws(QMPError) in
            try PidFile(path)
        }
        defer { pidFile?.remove() }
        let fdSets = FDSets()
        try addDescriptors(configuration, to: fdSets)
        let format = configuration.messageFormat
        let endpoint = try Endpoint(
            EndpointProfile(configuration),
            fdSets: fdSets,
            complain: { StandardError.write(format.line($0)) }
        )
        let monitors = EndpointMonitors(of: endpoint) { StandardError.write(format.line($0)) }
        for monitor in configuration.monitors {
            let device = configuration.devices.first { $0.label == monitor.device.label }
            try monitors.open(monitor, location: device?.location)
        }
        try Blocking.wait { () async throws(QMPError) in
            try await endpoint.prepare(configuration)
        }
        try monitors.start()
        try whenReady()
        waitForSignals(signals, endpoint, format)
        let exit = Blocking.value { () async in
            let exit = await endpoint.waitForExit()
            await endpoint.controller.shutDown()
            return exit
        }
        monitors.close()
        endpoint.writers.removeSockets()
        if !exit.message.isEmpty {
            StandardError.write(format.line(exit.message))
        }
        return exit.status
    }

    private func addDescriptors(
        _ configuration: EndpointConfiguration,
        to fdSets: FDSets
    ) throws(QMPError) {
        for added in configuration.addedDescriptors {
            do {
                let copy = try OwnedDescriptor.duplicate(of: added.descriptor)
                _ = try fdSets.add(copy, set: added.set, opaque: added.opaque)
            } catch {
                throw QMPError("\(added.location): \(error)")
            }
            _ = close(added.descriptor)
        }
    }

    /// Ends the endpoint in order when a signal asks for it.
    private func waitForSignals(
        _ signals: EndingSignals,
        _ endpoint: Endpoint,
        _ format: MessageFormat
    ) {
        // Without this thread a signal is still blocked: the process then ends by quit or SIGKILL.
        _ = try? NamedThread.start(name: "berth-signals") {
            let (signal, sender) = signals.wait()
            endpoint.events.emit(.shutdown(guest: false, reason: .hostSignal))
            // A terminal's signal comes from no process.
            let origin = sender == 0 ? "" : " from pid \(sender)"
            let text = "terminating on signal \(signal)\(origin)"
            StandardError.write(format.line(text))
            endpoint.requestExit(status: 0, message: "")
        }
    }
}
