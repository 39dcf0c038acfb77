import BerthJSON
import BerthMigration
import BerthQAPI

extension Endpoint {
    /// The commands about how fast the guest's memory changes, and how that is found.
    func executeDirtyRate(_ command: QMPCommand) async throws(QMPError) -> JSONValue {
        switch command {
        case .calcDirtyRate(let arguments):
            do throws(MigrationError) {
                let request = try DirtyRateRequest(
                    time: arguments.calcTime,
                    unit: arguments.calcTimeUnit,
                    samplePages: arguments.samplePages,
                    mode: arguments.mode
                )
                try await controller.measureDirtyRate(request)
            } catch {
                throw QMPError(error.message, hint: error.hint)
            }
        case .queryDirtyRate(let arguments):
            return await controller.dirtyRateInfo(in: arguments.calcTimeUnit).toJSON()
        case .setVcpuDirtyLimit(let arguments):
            try writers.setLimit(arguments.cpuIndex, arguments.dirtyRate)
        case .cancelVcpuDirtyLimit(let arguments):
            try writers.setLimit(arguments.cpuIndex, 0)
        case .queryVcpuDirtyLimit:
            return writers.limits.toJSON()
        case .xQueryDirtyTracking:
            return await controller.dirtyTracking.toJSON()
        default:
            throw QMPError("'\(command.name)' is not a command about dirty rates")
        }
        return .object([:])
    }
}
