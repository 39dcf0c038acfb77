internal import BerthSystem
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// A monitor's device and the thread that serves it.
///
/// Accepts one client at a time and moves bytes between it and the session. The next client of a
/// listening device waits in the kernel until the first has gone.
final class MonitorPort: Sendable {
    enum Phase: Sendable {
        case idle
        case running
        case stopped
    }

    struct State: Sendable {
        var phase = Phase.idle
        var mustStop = false
        var sockets = DeviceSockets()
        /// A client is there.
        var isConnected = false
        /// Resumed when the thread has ended.
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    let device: CharacterDevice
    let session: any MonitorSession
    let wake: WakeEvent
    /// Takes what the user should read while the device isn't usable.
    let report: @Sendable (String) -> Void
    let state = Mutex(State())

    init(
        device: CharacterDevice,
        session: any MonitorSession,
        report: @escaping @Sendable (String) -> Void
    ) throws(SystemCallError) {
        self.device = device
        self.session = session
        self.report = report
        wake = try WakeEvent()
    }

    /// Listens or connects, and waits for the first client if the device says so.
    ///
    /// - Throws: `MonitorDeviceError`.
    @available(*, noasync, message: "blocks its thread")
    func open() throws(MonitorDeviceError) {
        guard case .socket(let socket) = device.backend else { return }
        do {
            try open(socket)
        } catch {
            throw MonitorDeviceError(label: device.label, cause: error)
        }
    }

    @available(*, noasync, message: "blocks its thread")
    private func open(_ socket: CharacterDevice.Socket) throws(MonitorDeviceError.Cause) {
        guard socket.isServer else {
            do {
                let connection = try DeviceSockets.connect(socket, abort: wake)
                state.withLock { $0.sockets.connection = connection }
            } catch {
                guard socket.reconnectDelay != nil, error != .aborted else { throw error }
                let failure = MonitorDeviceError(label: device.label, cause: error)
                report("Unable to connect character device \(device.label): \(failure)")
            }
            return
        }
        let sockets = try DeviceSockets.listen(socket, abort: wake)
        state.withLock { $0.sockets = sockets }
        guard socket.waitsForClient, let listener = sockets.listeners.first?.raw else { return }
        report("info: QEMU waiting for connection on: \(device.fileName)")
        let client: OwnedDescriptorBox
        do throws(SystemCallError) {
            guard let socket = try Sockets.accept(on: listener, abort: wake) else {
                throw SystemCall.failure("accept", device.fileName, ECANCELED)
            }
            client = OwnedDescriptorBox(socket)
        } catch {
            throw error.errno == .canceled ? .aborted : .system(error)
        }
        state.withLock { $0.sockets.connection = client }
    }

    /// Starts to serve clients.
    ///
    /// - Parameter name: of the thread, at most 15 bytes.
    /// - Throws: `SystemCallError` for `pthread_create`.
    func start(threadName name: String) throws(SystemCallError) {
        guard device.backend != .null else { return }
        let sockets = state.withLock { state in
            state.phase = .running
            return state.sockets
        }
        do {
            try NamedThread.start(name: name) { [self] in
                var loop = MonitorPortLoop(self, sockets)
                loop.run()
                let waiters = state.withLock { state in
                    state.phase = .stopped
                    defer { state.waiters = [] }
                    return state.waiters
                }
                for waiter in waiters { waiter.resume() }
            }
        } catch {
            state.withLock { $0.phase = .idle }
            throw error
        }
    }

    /// Whether the thread is to end.
    var mustStop: Bool { state.withLock { $0.mustStop } }

    /// Has the thread write what is pending, close everything and end.
    ///
    /// - Returns: when that is done; at once if the device was never started.
    func stop() async {
        let wasIdle = state.withLock { state in
            state.mustStop = true
            return state.phase == .idle
        }
        wake.signal()
        guard !wasIdle else {
            close()
            return
        }
        await withCheckedContinuation { continuation in
            let hasStopped = state.withLock { state in
                if state.phase == .running { state.waiters.append(continuation) }
                return state.phase != .running
            }
            if hasStopped { continuation.resume() }
        }
    }

    /// The device as `query-chardev` shows it.
    var status: MonitorDeviceStatus {
        let isConnected = state.withLock { $0.isConnected }
        guard isConnected, case .socket(let socket) = device.backend else {
            return MonitorDeviceStatus(label: device.label, fileName: device.fileName)
        }
        return MonitorDeviceStatus(label: device.label, fileName: socket.description)
    }

    /// Closes the sockets and removes the listener's file.
    func close() {
        let sockets = state.withLock { state in
            defer { state.sockets = DeviceSockets() }
            return state.sockets
        }
        sockets.file?.remove()
        for listener in sockets.listeners { _ = listener.take() }
        _ = sockets.connection?.take()
    }
}
