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
    /// Size of the machine's memory in bytes; 0 for none.
    public var memoryByteCount: UInt64
    /// Memory backends to make at the start.
    public var backends: [MemoryBackend]
    /// The blocks that the machine's memory is made of, each from one of the backends.
    public var ramBlocks: [RAMBlockSource]
    /// What writes the memory while the guest runs: workloads and ports for other processes.
    public var writers: [ObjectOptions]
    /// Started with `-incoming`.
    public var isIncoming: Bool
    /// False with `-S`.
    public var autostart: Bool
    /// What the machine type and `-global migration.` change in the guest's streams.
    public var dialect: StreamDialect

    /// Describes an endpoint.
    public init(
        identity: GuestIdentity,
        architecture: SystemEmulatorTarget = .x8664,
        memoryByteCount: UInt64,
        backends: [MemoryBackend],
        ramBlocks: [RAMBlockSource],
        writers: [ObjectOptions] = [],
        isIncoming: Bool = false,
        autostart: Bool = true,
        dialect: StreamDialect = StreamDialect()
    ) {
        self.identity = identity
        self.architecture = architecture
        self.memoryByteCount = memoryByteCount
        self.backends = backends
        self.ramBlocks = ramBlocks
        self.writers = writers
        self.isIncoming = isIncoming
        self.autostart = autostart
        self.dialect = dialect
    }

    /// Allocates the backends and gives the guest's memory.
    func makeMemory(_ objects: MemoryObjects) throws(QMPError) -> GuestMemory {
        for backend in backends {
            try objects.add(backend)
        }
        var memory = GuestMemory()
        for source in ramBlocks {
            guard let entry = objects[source.backendID] else {
                throw QMPError("Memory backend '\(source.backendID)' not found")
            }
            objects.use(source.backendID)
            memory.insert(entry.block.named(source.blockName))
        }
        return memory
    }
}
