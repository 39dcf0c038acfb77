internal import Synchronization

/// The console of a client that is connected to a device.
final class HMPClientConsole: HMPConsole {
    private let client: MonitorClient
    private let open = Atomic(true)

    init(_ client: MonitorClient) {
        self.client = client
    }

    var isInteractiveTerminal: Bool { client.isTerminal }

    var isOpen: Bool { open.load(ordering: .relaxed) }

    func write(_ text: String) {
        client.write(Array(text.withCarriageReturns.utf8))
    }

    /// Ends the connection after what was written.
    func finish() {
        close()
        client.finish()
    }

    /// Has the device look again whether input is wanted.
    func resumeInput() { client.resumeInput() }

    /// Notes that nobody is there any more.
    func close() { open.store(false, ordering: .relaxed) }
}
