internal import BerthJSON

/// A QMP session: greeting, negotiation, one request at a time; confined to one thread.
final class QMPClient {
    /// What came of a request.
    enum Reply: Equatable {
        case success(JSONValue)
        case failure(errorClass: String, desc: String)
    }

    /// Events that are kept for somebody to look at; the oldest are dropped.
    static let eventLimit = 1000

    let connection: MonitorConnection
    /// The version of the other side, such as `10.0.2`.
    private(set) var version = ""
    private var parser = JSONStreamParser()
    private var bytes: [UInt8] = []
    private var index = 0
    private var events: [JSONObject] = []
    private var requestCount = 0

    /// Waits for the greeting and negotiates.
    ///
    /// - Throws: `ClientError` when this is no QMP monitor.
    @available(*, noasync, message: "blocks its thread")
    init(_ connection: MonitorConnection) throws(ClientError) {
        self.connection = connection
        let deadline = ContinuousClock.now + MonitorConnection.greetingLimit
        guard let message = try next(before: deadline) else { throw connection.silence }
        guard let greeting = message["QMP"] else {
            throw .broken("'\(connection.name)' sent no greeting of QMP")
        }
        let parts = ["major", "minor", "micro"].compactMap {
            greeting["version"]?["qemu"]?[$0]?.int64Value.map(String.init)
        }
        version = parts.joined(separator: ".")
        if case .failure(_, let desc) = try execute("qmp_capabilities") {
            throw .broken("'\(connection.name)' refused the negotiation: \(desc)")
        }
    }

    /// Executes a command.
    ///
    /// - Throws: `ClientError` when the session is broken.
    @available(*, noasync, message: "blocks its thread")
    func execute(_ name: String, _ arguments: JSONObject = [:]) throws(ClientError) -> Reply {
        requestCount += 1
        let identifier = JSONValue.string("berth-\(requestCount)")
        var request: JSONObject = ["execute": .string(name), "id": identifier]
        if !arguments.isEmpty { request["arguments"] = .object(arguments) }
        try connection.send(JSONValue.object(request).serialized() + "\n")
        // A command that an earlier client left running is answered here, too: that isn't ours. An
        // error without an id is one of syntax, and whose could that be but ours.
        return try reply { $0["id"] == identifier || ($0["id"] == nil && $0["error"] != nil) }
    }

    /// Sends the text of a request as it is, and takes the next reply for its own.
    ///
    /// - Throws: `ClientError` when the session is broken.
    @available(*, noasync, message: "blocks its thread")
    func send(raw request: String) throws(ClientError) -> Reply {
        try connection.send(request + "\n")
        return try reply { _ in true }
    }

    /// Events that have come, oldest first; doesn't wait for any.
    ///
    /// - Throws: `ClientError` when the session is broken.
    @available(*, noasync, message: "blocks its thread")
    func takeEvents() throws(ClientError) -> [JSONObject] {
        while try next(before: .now) != nil {}
        defer { events = [] }
        return events
    }

    @available(*, noasync, message: "blocks its thread")
    private func reply(where isOurs: (JSONObject) -> Bool) throws(ClientError) -> Reply {
        while true {
            guard let message = try next(before: nil), isOurs(message) else { continue }
            if let value = message["return"] { return .success(value) }
            guard let error = message["error"] else { continue }
            return .failure(
                errorClass: error["class"]?.stringValue ?? "GenericError",
                desc: error["desc"]?.stringValue ?? "no description"
            )
        }
    }

    /// The next message that is no event; events are kept.
    @available(*, noasync, message: "blocks its thread")
    private func next(before deadline: ContinuousClock.Instant?) throws(ClientError) -> JSONObject?
    {
        while true {
            switch parser.next(in: bytes, at: &index) {
            case .value(.object(let message)):
                guard message["event"] != nil else { return message }
                events.append(message)
                if events.count > Self.eventLimit { events.removeFirst() }
            case .value:
                throw .broken("'\(connection.name)' sent JSON that is no message of QMP")
            case .error(let description):
                throw .broken("'\(connection.name)' sent no JSON: \(description)")
            case nil:
                guard let more = try connection.receive(before: deadline) else { return nil }
                bytes = more
                index = 0
            }
        }
    }
}
