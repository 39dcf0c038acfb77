public import BerthWire

/// Who the guest is: what a stream's configuration section and the monitors tell about it.
public struct GuestIdentity: Sendable, Equatable {
    /// Canonical machine type, `pc-q35-10.0`, not an alias.
    public var machineType: String
    /// Name given with `-name`, or nil.
    public var name: String?
    /// UUID given with `-uuid`, or nil.
    public var uuid: GuestUUID?

    /// Describes a guest.
    public init(machineType: String, name: String? = nil, uuid: GuestUUID? = nil) {
        self.machineType = machineType
        self.name = name
        self.uuid = uuid
    }
}
