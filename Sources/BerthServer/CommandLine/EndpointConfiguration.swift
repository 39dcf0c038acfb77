public import BerthMonitor
public import BerthQAPI
public import BerthTransport
public import BerthWire

/// What a command line asks for: an endpoint before any of it is made.
///
/// Nothing in it has been opened or allocated, but all that can be known to be wrong without that
/// has been refused.
public struct EndpointConfiguration: Sendable {
    /// The machine type.
    public var machine: MachineType
    /// Number of processors that `-smp` names; they are reported, never run.
    public var cpuCount: Int64 = 1
    /// Size of the guest's RAM in bytes; 0 for none.
    public var memoryByteCount: UInt64 = 0
    /// The memory backends, all to be created.
    ///
    /// Those of `-object` in order, and last the one that the machine makes by itself.
    public var memoryBackends: [ObjectOptions] = []
    /// The blocks that the guest's RAM is made of, in order.
    public var ramBlocks: [RAMBlockSource] = []
    /// What writes guest memory, to be created after the memory (`-object guest-workload`).
    public var writers: [ObjectOptions] = []
    /// Objects that an endpoint has no use for, such as secrets; known by their ids only.
    public var otherObjects: [OtherObject] = []
    /// QEMU: `-name`.
    public var name: String?
    /// QEMU: `-name process=`.
    public var processName: String?
    /// QEMU: `-uuid`.
    public var uuid: GuestUUID?
    /// QEMU: `-S`.
    public var startsPaused = false
    /// QEMU: `-incoming`; nil for a guest that starts here.
    public var incoming: IncomingRequest?
    /// QEMU: `-global migration.*`.
    public var migration = MigrationGlobals()
    /// QEMU: `-only-migratable`.
    public var isOnlyMigratable = false
    /// The character devices in the order in which they are to be opened.
    public var devices: [DeviceRequest] = []
    /// The monitors, each on one of `devices`.
    public var monitors: [MonitorConfiguration] = []
    /// QEMU: `-add-fd`.
    public var addedDescriptors: [AddedDescriptor] = []
    /// QEMU: `-pidfile`.
    public var pidFile: String?
    /// QEMU: `-daemonize`.
    public var daemonizes = false
    /// QEMU: `-action` and its relatives.
    public var actions = GuestActions()
    /// How messages on standard error look from now on.
    public var messageFormat: MessageFormat
}

/// A block of RAM and where it comes from.
public struct RAMBlockSource: Sendable, Equatable {
    /// Name of the block in a stream.
    public var blockName: String
    /// Id of its memory backend.
    public var backendID: String
}

/// An object that was accepted and is not made.
public struct OtherObject: Sendable, Equatable {
    /// QOM: its type.
    public var type: String
    /// Its id.
    public var id: String
}

/// Where an incoming migration comes from.
public struct IncomingRequest: Sendable, Equatable {
    /// Where from; nil to wait for `migrate-incoming` (QEMU: `-incoming defer`).
    public var address: BerthTransport.MigrationAddress?
    /// The option as written, for messages.
    public var location: String
}

/// A character device to be opened.
public struct DeviceRequest: Sendable, Equatable {
    /// What it is.
    public enum Kind: Sendable, Equatable {
        /// One that can carry a monitor.
        case device(CharacterDevice)
        /// One of another type, such as `file`: the guest has no device that would use it.
        case other(type: String)
    }

    /// Its id.
    public var label: String
    /// What it is.
    public var kind: Kind
    /// The option as written, for messages.
    public var location: String
}

/// A descriptor that the process was started with, for a set (QEMU: `-add-fd`).
public struct AddedDescriptor: Sendable, Equatable {
    /// Its number; it is duplicated into the set and closed.
    public var descriptor: Int32
    /// The set.
    public var set: Int64
    /// What the parent wants to find it by.
    public var opaque: String?
    /// The option as written, for messages.
    public var location: String
}

/// What follows when the guest ends by itself (QEMU: `-action`, `-no-shutdown`, `-no-reboot`).
public struct GuestActions: Sendable, Equatable {
    /// For a reboot.
    public var reboot = RebootAction.reset
    /// For a power-off.
    public var shutdown = ShutdownAction.poweroff
    /// For a kernel panic.
    public var panic = PanicAction.shutdown
    /// For the watchdog.
    public var watchdog = WatchdogAction.reset

    /// What QEMU does by itself.
    public init() {}
}

/// Settings of migrations that the command line makes (QEMU: `-global migration.*`).
public struct MigrationGlobals: Sendable, Equatable {
    /// Capabilities, in order; later ones win.
    public var capabilities: [MigrationCapabilityStatus] = []
    /// Parameters; within their ranges.
    public var parameters = MigrateSetParameters()
    /// Parts of the stream that can be left out.
    public var stream = StreamSwitches()

    /// No settings.
    public init() {}
}

/// Parts of the stream that machine types and `-global` switch on and off.
public struct StreamSwitches: Sendable, Equatable {
    /// The run state goes with the guest.
    public var storesGlobalState = true
    /// The stream begins with the machine's name.
    public var sendsConfiguration = true
    /// Each section ends with a footer.
    public var sendsSectionFooters = true
    /// The stream announces its final stage; off for machine types before 10.0.
    public var sendsSwitchoverStart = true
    /// Multifd channels are brought into step after each section; on for machine types before 8.1.
    public var flushesMultifdEachSection = false

    /// All of them, as the newest machine types have them.
    public init() {}
}

/// What a command line comes to.
public struct CommandLineResult: Sendable {
    /// What the process does.
    public enum Outcome: Sendable {
        /// Starts an endpoint.
        case start(EndpointConfiguration)
        /// Prints this text on standard output and ends with exit status 0.
        case answer(String)
        /// Ends with exit status 1.
        case failure
    }

    /// Text for standard error: warnings, and the reason of a failure.
    public var messages: String
    /// What the process does.
    public var outcome: Outcome
}
