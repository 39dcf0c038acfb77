internal import BerthJSON
public import BerthQAPI
internal import Glibc
internal import Synchronization

/// Sends events to all QMP clients that have negotiated.
public final class EventBroadcaster: Sendable {
    /// Somebody whom events interest.
    protocol Receiver: Sendable {
        /// Passes an event on; must not emit one itself.
        func deliver(_ event: JSONValue)
    }

    private let receivers = Mutex<[any Receiver]>([])

    /// Nobody listens yet.
    public init() {}

    /// Sends an event, with the time of this call.
    ///
    /// When this returns, the event is ahead of all that is sent to any client afterwards. All
    /// clients see the same order. Callable from any thread or actor; doesn't block.
    public func emit(_ event: QMPEvent) {
        receivers.withLock { receivers in
            // The clock is read inside, so that times grow in the order of the events.
            let message = Self.message(event)
            for receiver in receivers { receiver.deliver(message) }
        }
    }

    func attach(_ receiver: any Receiver) {
        receivers.withLock { $0.append(receiver) }
    }

    private static func message(_ event: QMPEvent) -> JSONValue {
        var now = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &now)
        var message: JSONObject = [
            "timestamp": [
                "seconds": JSONValue(now.tv_sec),
                "microseconds": JSONValue(now.tv_nsec / 1000),
            ],
            "event": .string(event.name),
        ]
        if let data = event.data { message["data"] = .object(data) }
        return .object(message)
    }
}
