import BerthJSON
import BerthMonitor
import BerthQAPI
import BerthTransport
import BerthWire

/// What has been read of a command line so far.
struct CommandLineDraft {
    var format: MessageFormat
    /// The guest's architecture, where the program's name says it.
    let architecture: String?
    /// A question whose answer comes when all options have been read.
    var lateAnswer: String?

    // Machine and memory
    /// Merged values of `-machine`, `-smp` and `-m`.
    var machine = JSONObject()
    /// `-accel`, in order of preference.
    var accelerators: [(name: String, keys: [String], location: String)] = []
    /// `-enable-kvm` stands for `-machine accel=kvm`.
    var wantsKVM = false
    var hasMemoryOption = false
    var numaNodes: [(options: QemuOptions, location: String)] = []
    var memoryPath: String?
    var preallocatesMemory = false
    var objects: [(options: ObjectOptions, location: String)] = []
    var otherObjects: [OtherObject] = []
    /// Ids of `-object` in the older grammar, which must differ where they are read.
    var objectIDs: Set<String> = []

    // Monitors
    var devices: [(label: String, options: QemuOptions, location: String)] = []
    var monitors: [MonitorDraft] = []
    var compatMonitorCount = 0
    var serialCount = 0
    /// Character devices that `-serial` names.
    var serials: [(label: String, options: QemuOptions?, location: String, text: String)] = []
    var hasDefaultMonitor = true
    var hasDefaultSerial = true
    var isNoGraphic = false
    var hasNoDefaults = false

    // The process
    var name: String?
    var processName: String?
    var uuid: GuestUUID?
    var startsPaused = false
    var isOnlyMigratable = false
    var pidFile: String?
    var daemonizes = false
    var actions = GuestActions()
    var addedDescriptors: [(options: QemuOptions, location: String)] = []
    var showsGuestName = false

    // Migration
    var incoming: IncomingRequest?
    var globals: [(property: String, value: String)] = []
    var hasSnapshot = false

    init(program: String) {
        format = MessageFormat(program: program)
        let prefix = "qemu-system-"
        architecture = program.hasPrefix(prefix) ? String(program.dropFirst(prefix.count)) : nil
    }
}

/// A monitor before its device is known to exist.
struct MonitorDraft {
    var device: String
    var mode: MonitorConfiguration.Mode
    var isPretty: Bool
    var id: String?
    var location: String
}
