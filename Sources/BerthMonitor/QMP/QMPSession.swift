internal import BerthJSON
internal import BerthQAPI
internal import BerthSystem
internal import Synchronization

/// QMP on a monitor's device.
///
/// Bytes become entries (values, or errors of the parser). Entries are admitted to the queue while
/// it has room: for one without out-of-band execution, for eight with it. The queue's head runs when
/// the dispatcher gives this monitor its turn; out-of-band commands run when they are admitted.
///
/// Replies are written by whoever ran the command, under the session's lock; events too. That keeps
/// the order of events and replies, and wakes nobody on the way to the client.
final class QMPSession: Sendable {
    /// In-band requests that wait while out-of-band execution is on; QEMU's number.
    static let queueLimit = 8

    /// Something that came out of the client's bytes.
    struct Entry: Sendable {
        let output: JSONStreamParser.Output
        /// The descriptor that came with it.
        var descriptor: OwnedDescriptorBox?
    }

    struct State: Sendable {
        /// The client that is served.
        var client: MonitorClient?
        var parser = JSONStreamParser()
        /// Parsed but not admitted, for want of room in the queue; oldest last.
        var backlog: [Entry] = []
        /// Admitted, oldest first.
        var queue: [Entry] = []
        /// Came with bytes that belong to an entry which isn't complete.
        var looseDescriptor: OwnedDescriptorBox?
        var isNegotiated = false
        var allowsOOB = false
        /// The dispatcher knows that there is work, or does it.
        var isScheduled = false
        /// The client whose in-band request is being executed.
        var executingFor: MonitorClient?

        var hasRoom: Bool {
            allowsOOB
                ? queue.count < QMPSession.queueLimit
                : queue.isEmpty && (executingFor == nil || executingFor !== client)
        }
    }

    let context: MonitorContext
    let message: QMPMessage
    let handler: any QMPHandler
    let dispatcher: CommandDispatcher
    let state = Mutex(State())
    private let greeting: [UInt8]

    init(
        context: MonitorContext,
        isPretty: Bool,
        package: String,
        handler: any QMPHandler,
        dispatcher: CommandDispatcher
    ) {
        self.context = context
        self.handler = handler
        self.dispatcher = dispatcher
        message = QMPMessage(isPretty: isPretty)
        greeting = message.greeting(package: package)
    }

    /// Moves entries from the backlog to the queue, as far as there is room.
    func admit(_ state: inout State) {
        while state.hasRoom, let entry = state.backlog.popLast() {
            if state.allowsOOB, case .value(let value) = entry.output,
                QMPRequest.isOutOfBand(value), let client = state.client
            {
                Task { await executeOOB(entry, for: client) }
            } else {
                state.queue.append(entry)
            }
        }
        if !state.queue.isEmpty, !state.isScheduled {
            state.isScheduled = true
            dispatcher.enqueue(self)
        }
    }
}

extension QMPSession: MonitorSession {
    var acceptsInput: Bool {
        state.withLock { $0.backlog.isEmpty && $0.hasRoom }
    }

    func connect(_ client: MonitorClient) {
        client.write(greeting)
        state.withLock { state in
            reset(&state)
            state.client = client
        }
    }

    func receive(_ bytes: [UInt8], descriptors: consuming ReceivedDescriptors) {
        // One is all that any command takes; the others are closed.
        let descriptor: OwnedDescriptorBox? =
            if let first = descriptors.takeFirst() { OwnedDescriptorBox(first) } else { nil }
        state.withLock { state in
            var entries: [Entry] = []
            state.parser.feed(bytes) { entries.append(Entry(output: $0)) }
            if let loose = state.looseDescriptor, !entries.isEmpty {
                entries[0].descriptor = loose
                state.looseDescriptor = nil
            }
            if let descriptor {
                // The kernel cuts its reads after the message that carries a descriptor: it belongs
                // to the last entry here, unless that message began another one.
                if entries.isEmpty || state.parser.isInsideText {
                    state.looseDescriptor = descriptor
                } else {
                    entries[entries.count - 1].descriptor = descriptor
                }
            }
            state.backlog = entries.reversed() + state.backlog
            admit(&state)
        }
    }

    func endInput() {
        state.withLock { state in
            // With out-of-band execution on, QEMU drops what still waits.
            state.queue = []
            state.backlog = []
        }
    }

    func disconnect() {
        state.withLock { state in
            reset(&state)
            state.client = nil
        }
        context.descriptors.setPending(nil)
    }

    private func reset(_ state: inout State) {
        state.parser.reset()
        state.backlog = []
        state.queue = []
        state.looseDescriptor = nil
        state.isNegotiated = false
        state.allowsOOB = false
    }
}

extension QMPSession: EventBroadcaster.Receiver {
    func deliver(_ event: JSONValue) {
        state.withLock { state in
            guard state.isNegotiated else { return }
            state.client?.write(message.bytes(event))
        }
    }
}
