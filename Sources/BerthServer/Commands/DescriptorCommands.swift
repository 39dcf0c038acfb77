import BerthJSON
import BerthMonitor
import BerthQAPI
import BerthTransport

extension Endpoint {
    /// The commands that take and give up file descriptors passed with SCM_RIGHTS.
    func executeDescriptor(
        _ command: QMPCommand,
        _ monitor: MonitorContext
    ) throws(QMPError) -> JSONValue {
        switch command {
        case .getfd(let arguments):
            try monitor.descriptors.getFD(named: arguments.fdname)
        case .closefd(let arguments):
            try monitor.descriptors.closeFD(named: arguments.fdname)
        case .addFD(let arguments):
            return try addDescriptor(arguments, monitor)
        case .removeFD(let arguments):
            do {
                try fdSets.remove(
                    set: arguments.fdsetID,
                    descriptor: arguments.fd.map { Int32(clamping: $0) }
                )
            } catch {
                throw QMPError(error.description)
            }
        case .queryFdsets:
            return fdSets.query().map { set in
                FdsetInfo(
                    fds: set.descriptors.map {
                        FdsetFdInfo(fd: Int64($0.descriptor), opaque: $0.opaque)
                    },
                    fdsetID: set.id
                )
            }.toJSON()
        default:
            throw QMPError("'\(command.name)' is not a descriptor command")
        }
        return .object([:])
    }

    private func addDescriptor(
        _ arguments: AddFDArguments,
        _ monitor: MonitorContext
    ) throws(QMPError) -> JSONValue {
        let descriptor = try monitor.descriptors.takePending()
        if let id = arguments.fdsetID, id < 0 {
            throw QMPError("Parameter 'fdset-id' expects a non-negative value")
        }
        do {
            let added = try fdSets.add(
                descriptor,
                set: arguments.fdsetID,
                opaque: arguments.opaque
            )
            return AddfdInfo(fd: Int64(added.descriptor), fdsetID: added.set).toJSON()
        } catch {
            throw QMPError(error.description)
        }
    }
}
