import BerthJSON
import BerthMemory
import BerthMigration
import BerthMonitor
import BerthQAPI
import BerthWire
import Glibc

extension Endpoint {
    /// The commands that tell what the endpoint is.
    func executeMachine(_ command: QMPCommand) async throws(QMPError) -> JSONValue {
        switch command {
        case .queryName:
            return NameInfo(name: profile.identity.name).toJSON()
        case .queryUUID:
            return UUIDInfo(uuid: "\(profile.identity.uuid ?? .zero)").toJSON()
        case .queryVersion:
            return BerthVersion.info.toJSON()
        case .queryTarget:
            return TargetInfo(arch: profile.architecture).toJSON()
        case .queryKVM:
            // Management software compares this with what it finds by itself.
            let isUsable = unsafe access("/dev/kvm", R_OK | W_OK) == 0
            return KVMInfo(present: isUsable, enabled: isUsable).toJSON()
        case .queryMachines:
            return MachineCatalog.machines(for: profile.architecture.rawValue)
                .map(\.info).toJSON()
        case .queryMemdev:
            return objects.all.map(Self.memdev).toJSON()
        case .queryMemorySizeSummary:
            return MemoryInfo(baseMemory: profile.memoryByteCount, pluggedMemory: 0).toJSON()
        case .queryChardev:
            return monitors.devices.map {
                ChardevInfo(frontendOpen: $0.isOpen, filename: $0.fileName, label: $0.label)
            }.toJSON()
        case .queryCommandLineOptions(let arguments):
            return try QemuOptionList.describe(arguments.option).toJSON()
        default:
            throw QMPError("'\(command.name)' is not a machine command")
        }
    }

    private static func memdev(_ entry: MemoryObjects.Entry) -> Memdev {
        Memdev(
            id: entry.backend.id,
            size: entry.backend.byteCount,
            merge: entry.backend.isMerged,
            dump: entry.backend.isDumped,
            prealloc: entry.backend.isPreallocated,
            share: entry.backend.isShared,
            reserve: true,
            hostNodes: [],
            policy: .default
        )
    }
}
