import BerthJSON
import BerthMigration
import BerthMonitor
import BerthQAPI

extension Endpoint {
    /// The commands that stop, start and end the guest.
    func executeRunState(_ command: QMPCommand) async throws(QMPError) -> JSONValue {
        switch command {
        case .queryStatus:
            let status = await controller.status
            return StatusInfo(status: status.state, running: status.isRunning).toJSON()
        case .stop, .cont:
            do {
                if case .stop = command {
                    try await controller.stop()
                } else {
                    try await controller.resume()
                }
            } catch {
                throw QMPError(error.message, hint: error.hint)
            }
        case .systemReset:
            await controller.reset()
            events.emit(.reset(guest: false, reason: .hostQMPSystemReset))
        case .setAction:
            // A guest without CPUs never ends by itself, so that any choice is kept to.
            break
        case .quit:
            events.emit(.shutdown(guest: false, reason: .hostQMPQuit))
            await controller.shutDown()
            requestExit(status: 0, message: "")
        default:
            throw QMPError("'\(command.name)' is not a run state command")
        }
        return .object([:])
    }
}
