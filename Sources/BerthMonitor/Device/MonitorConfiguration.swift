/// One monitor as the command line asks for it (`-mon`, `-qmp`, `-monitor`).
public struct MonitorConfiguration: Sendable, Equatable {
    /// What is spoken on the device.
    public enum Mode: String, Sendable, CaseIterable {
        /// QMP, for programs.
        case control
        /// Commands and their output as lines, for people (HMP).
        case readline
    }

    /// The device.
    public var device: CharacterDevice
    /// What is spoken on it.
    public var mode: Mode
    /// Break QMP's output into indented lines (QMP only).
    public var isPretty: Bool
    /// QEMU: `-mon ...,id=`; nothing refers to it.
    public var id: String?

    /// Puts a monitor on a device.
    public init(
        device: CharacterDevice,
        mode: Mode,
        isPretty: Bool = false,
        id: String? = nil
    ) {
        self.device = device
        self.mode = mode
        self.isPretty = isPretty
        self.id = id
    }
}
