import BerthJSON
import BerthMonitor
import BerthQAPI
import Glibc

/// Talks QMP to an endpoint of this process and shows what is said.
struct DemoSession {
    /// Name of the endpoint in what is shown.
    let name: String
    let endpoint: Endpoint
    private let monitor: MonitorContext

    init(_ name: String, _ endpoint: Endpoint) {
        self.name = name
        self.endpoint = endpoint
        monitor = MonitorContext(label: name)
    }

    /// Sends a command, as a monitor would pass it on, and shows it with its reply.
    @discardableResult
    func send(_ command: String, _ arguments: JSONObject = [:]) async throws(QMPError) -> JSONValue
    {
        var request: JSONObject = ["execute": .string(command)]
        if !arguments.isEmpty {
            request["arguments"] = .object(arguments)
        }
        print("  \(name) -> \(JSONValue.object(request).serialized())")
        let reply = try await ask(command, arguments)
        print("  \(name) <- \(JSONValue.object(["return": reply]).serialized())")
        return reply
    }

    /// Sends a command without showing it.
    func ask(_ command: String, _ arguments: JSONObject = [:]) async throws(QMPError) -> JSONValue {
        try await endpoint.execute(
            QMPCommand.decode(name: command, arguments: arguments),
            monitor: monitor
        )
    }

    /// Asks `query-migrate` until the migration has ended.
    ///
    /// - Returns: the last reply.
    /// - Throws: `QMPError` with the reason if it failed.
    func waitForMigration(
        whileRunning: (JSONObject) async throws(QMPError) -> Void = { _ in }
    ) async throws(QMPError) -> JSONObject {
        while true {
            guard case .object(let info) = try await ask("query-migrate") else { continue }
            switch info["status"] {
            case .string("completed"):
                return info
            case .string("failed"), .string("cancelled"):
                guard case .string(let reason) = info["error-desc"] else { fallthrough }
                throw QMPError(reason)
            default:
                try await whileRunning(info)
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
    }
}
