internal import BerthSystem
internal import Glibc
internal import Synchronization

/// What the thread of a `MonitorPort` does: waits for its descriptors and handles them.
struct MonitorPortLoop {
    /// How long a client that sends no more, or a process that ends, waits for output to be read.
    private static let drainLimit = Duration.seconds(1)
    /// A pause after a failure that would otherwise repeat itself at once (such as `EMFILE`).
    private static let failurePause = Duration.milliseconds(100)

    private struct Connection {
        let client: MonitorClient
        /// `nil` for the standard streams, which are not ours to close.
        let box: OwnedDescriptorBox?
        let input: CInt
        let output: CInt
        let isSocket: Bool
        /// Nothing more is read.
        var hasEnded = false
        /// When a connection that is to end is closed even if output is left.
        var deadline: ContinuousClock.Instant?
    }

    private let port: MonitorPort
    private let listeners: [CInt]
    /// Closes the listeners with the loop.
    private let sockets: DeviceSockets
    private var connection: Connection?
    /// When a listener may be looked at, or a connection be tried, again.
    private var retryTime: ContinuousClock.Instant?

    init(_ port: MonitorPort, _ sockets: DeviceSockets) {
        self.port = port
        self.sockets = sockets
        listeners = sockets.listeners.compactMap(\.raw)
    }

    mutating func run() {
        if let box = sockets.connection {
            begin(box)
        } else if case .standardStreams = port.device.backend {
            beginStandardStreams()
        } else {
            retryTime = .now
        }
        while !port.mustStop {
            reconnectIfDue()
            var requests = self.requests()
            do {
                try DeviceIO.poll(&requests, timeout: timeout)
            } catch {
                // Only possible without memory; there is nobody to tell.
                retryTime = .now + Self.failurePause
            }
            port.wake.clear()
            handle(requests)
        }
        drain()
        end()
        port.close()
    }

    // MARK: Waiting

    /// The wake-up event, then input and output of the connection or all listeners.
    private func requests() -> [pollfd] {
        var requests = [pollfd(fd: port.wake.raw, events: Int16(POLLIN), revents: 0)]
        guard let connection else {
            guard retryTime.map({ $0 <= .now }) ?? true else { return requests }
            requests += listeners.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            return requests
        }
        let mayRead = !connection.hasEnded && port.session.acceptsInput
        let mayWrite = connection.client.hasPendingOutput
        if connection.isSocket {
            let events = (mayRead ? POLLIN : 0) | (mayWrite ? POLLOUT : 0)
            requests.append(pollfd(fd: connection.input, events: Int16(events), revents: 0))
        } else {
            let input = mayRead ? connection.input : -1
            let output = mayWrite ? connection.output : -1
            requests.append(pollfd(fd: input, events: Int16(POLLIN), revents: 0))
            requests.append(pollfd(fd: output, events: Int16(POLLOUT), revents: 0))
        }
        return requests
    }

    private var timeout: Duration? {
        let times = [connection?.deadline, connection == nil ? retryTime : nil].compactMap { $0 }
        return times.min().flatMap { time in
            // Listeners need no time-out once they are looked at again.
            time <= .now && connection == nil ? nil : ContinuousClock.now.duration(to: time)
        }
    }

    private mutating func handle(_ requests: [pollfd]) {
        guard let connection else {
            for request in requests.dropFirst() where request.revents != 0 {
                accept(on: request.fd)
                return
            }
            return
        }
        let reports = requests.dropFirst().map { CInt($0.revents) }
        guard reports.count == (connection.isSocket ? 1 : 2) else { return }
        if let output = reports.last, output & (POLLOUT | POLLERR | POLLHUP) != 0 {
            connection.client.flush()
        }
        let mayRead = !connection.hasEnded && port.session.acceptsInput
        let isBroken = reports[0] & (POLLHUP | POLLERR | POLLNVAL) != 0
        if mayRead && (reports[0] & POLLIN != 0 || isBroken) {
            read()
        } else if connection.isSocket && isBroken {
            // The client has gone; nobody is left to read the answers to what it has sent.
            end()
        }
        endIfFinished()
    }

    // MARK: Connections

    private mutating func accept(on listener: CInt) {
        do {
            guard let socket = try Sockets.acceptNow(on: listener) else { return }
            begin(OwnedDescriptorBox(socket))
        } catch {
            retryTime = .now + Self.failurePause
        }
    }

    private mutating func reconnectIfDue() {
        guard connection == nil, listeners.isEmpty, case .socket(let socket) = port.device.backend,
            let delay = socket.reconnectDelay, let time = retryTime, time <= .now
        else { return }
        do {
            begin(try DeviceSockets.connect(socket, abort: port.wake))
        } catch {
            // Aborted by an event that may not be meant for this: look at everything, try again.
            retryTime = .now + delay
        }
    }

    private mutating func begin(_ box: OwnedDescriptorBox) {
        guard let raw = box.raw else { return }
        if case .socket(let socket) = port.device.backend, socket.disablesDelay {
            Sockets.disableDelay(raw)
        }
        let client = MonitorClient(raw: raw, outlet: .socket, isTerminal: false, wake: port.wake)
        connection = Connection(client: client, box: box, input: raw, output: raw, isSocket: true)
        port.state.withLock { $0.isConnected = true }
        port.session.connect(client)
    }

    private mutating func beginStandardStreams() {
        Signals.ignoreBrokenPipes()
        let client = MonitorClient(
            raw: STDOUT_FILENO,
            outlet: .shared,
            isTerminal: isatty(STDIN_FILENO) == 1,
            wake: port.wake
        )
        connection = Connection(
            client: client,
            box: nil,
            input: STDIN_FILENO,
            output: STDOUT_FILENO,
            isSocket: false
        )
        port.session.connect(client)
    }

    private mutating func read() {
        guard let connection else { return }
        do throws(SystemCallError) {
            let input =
                connection.isSocket
                ? try DeviceIO.receive(from: connection.input)
                : try DeviceIO.read(from: connection.input)
            switch consume input {
            case .nothing: return
            case .end: endInput()
            case .bytes(let bytes, let descriptors):
                port.session.receive(bytes, descriptors: descriptors)
            }
        } catch {
            if connection.isSocket { end() } else { self.connection?.hasEnded = true }
        }
    }

    private mutating func endInput() {
        connection?.hasEnded = true
        // The process outlives its standard input; output goes on.
        guard connection?.isSocket == true else { return }
        port.session.endInput()
        connection?.client.finish()
    }

    /// Closes a connection that is to end and has nothing left to write, or no more time.
    private mutating func endIfFinished() {
        guard let connection, connection.client.isFinished else { return }
        let deadline = connection.deadline ?? .now + Self.drainLimit
        self.connection?.deadline = deadline
        if !connection.client.hasPendingOutput || deadline <= .now { end() }
    }

    private mutating func end() {
        guard let connection else { return }
        connection.client.close()
        port.session.disconnect()
        _ = connection.box?.take()
        self.connection = nil
        port.state.withLock { $0.isConnected = false }
        let delay: Duration? =
            if case .socket(let socket) = port.device.backend { socket.reconnectDelay } else { nil }
        retryTime = .now + (delay ?? .zero)
    }

    /// Gives the client a moment to read the last answers before the process ends.
    private func drain() {
        guard let connection else { return }
        let deadline = ContinuousClock.now + Self.drainLimit
        while connection.client.hasPendingOutput, ContinuousClock.now < deadline {
            var requests = [pollfd(fd: connection.output, events: Int16(POLLOUT), revents: 0)]
            let left = ContinuousClock.now.duration(to: deadline)
            do {
                try DeviceIO.poll(&requests, timeout: left)
            } catch {
                return
            }
            guard CInt(requests[0].revents) & POLLOUT != 0 else { return }
            connection.client.flush()
        }
    }
}
