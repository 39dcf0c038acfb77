import BerthJSON
import BerthQAPI

extension Endpoint {
    /// The commands about workloads and the guest's memory.
    func executeWorkload(_ command: QMPCommand) async throws(QMPError) -> JSONValue {
        throw QMPError("'\(command.name)' is not built yet")
    }
}
