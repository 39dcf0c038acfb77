public import BerthMemory
public import BerthMigration
public import BerthQAPI
import BerthSystem

/// What an endpoint is: its machine, its memory, and how it starts.
public struct EndpointProfile: Sendable {
    /// Machine type, name and UUID.
    public var identity: GuestIdentity
    /// Architecture of the guest's processors.
    public var architecture: SystemEmulatorTarget
    /// The monitors' devices, for `query-chardev`.
    public var characterDevices: [ChardevInfo] = []
    /// Size of the machine's memory in bytes; 0 for none.
    public var memoryByteCount: UInt64
    /// Name of the block that `memoryByteCount` makes.
    public var memoryBlockName: String
    /// Memory backends to make at the start.
    public var backends: [MemoryBackend]
    /// Ids of the backends that the machine's memory is made of; empty to make it by itself.
    public var memoryBackendIDs: [String]
    /// Started with `-incoming`.
    public var isIncoming: Bool
    /// False with `-S`.
    public var autostart: Bool
    /// Whether a fresh guest's stream announces its final stage: `-global
    /// migration.send-switchover-start`, and off for machine types before 10.0.
    public var sendsSwitchoverStart: Bool

    /// Describes an endpoint.
    public init(
        identity: GuestIdentity,
        architecture: SystemEmulatorTarget = .x8664,
        memoryByteCount: UInt64,
        memoryBlockName: String,
        backends: [MemoryBackend] = [],
        memoryBackendIDs: [String] = [],
        isIncoming: Bool = false,
        autostart: Bool = true,
        sendsSwitchoverStart: Bool = true
    ) {
        self.identity = identity
        self.architecture = architecture
        self.memoryByteCount = memoryByteCount
        self.memoryBlockName = memoryBlockName
        self.backends = backends
        self.memoryBackendIDs = memoryBackendIDs
        self.isIncoming = isIncoming
        self.autostart = autostart
        self.sendsSwitchoverStart = sendsSwitchoverStart
    }

    /// Allocates the backends and gives the guest's memory.
    func makeMemory(_ objects: MemoryObjects) throws(QMPError) -> GuestMemory {
        for backend in backends {
            try objects.add(backend)
        }
        var memory = GuestMemory()
        for id in memoryBackendIDs {
            guard let entry = objects[id] else {
                throw QMPError("Memory backend '\(id)' not found")
            }
            objects.use(id)
            memory.insert(entry.block)
        }
        if memoryBackendIDs.isEmpty, memoryByteCount > 0 {
            let backend = MemoryBackend(
                id: memoryBlockName,
                kind: .ram,
                byteCount: memoryByteCount
            )
            memory.insert(try objects.add(backend, isInUse: true))
        }
        return memory
    }
}
