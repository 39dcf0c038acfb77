import BerthJSON
import BerthQAPI

extension Endpoint {
    /// The commands about how fast the guest's memory changes.
    func executeDirtyRate(_ command: QMPCommand) async throws(QMPError) -> JSONValue {
        throw QMPError("'\(command.name)' is not built yet")
    }
}
