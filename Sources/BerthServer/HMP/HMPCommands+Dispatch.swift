internal import BerthJSON
public import BerthMonitor
internal import BerthQAPI

extension HMPCommands {
    /// Makes commands that take their turn among those of all monitors.
    ///
    /// Not for `human-monitor-command`, which has its turn already and would wait for itself: that
    /// calls `init(pace:execute:)` with the handler's own function.
    ///
    /// - Parameters:
    ///   - handler: carries out the QMP commands.
    ///   - dispatcher: decides whose turn it is.
    public init(handler: any QMPHandler, dispatcher: CommandDispatcher) {
        self.init { (command: QMPCommand, monitor: MonitorContext) async throws(QMPError) in
            let reply = await dispatcher.perform { () async -> Result<JSONValue, QMPError> in
                do throws(QMPError) {
                    return .success(try await handler.execute(command, monitor: monitor))
                } catch {
                    return .failure(error)
                }
            }
            guard let reply else { throw QMPError("the endpoint is about to end") }
            return try reply.get()
        }
    }
}
