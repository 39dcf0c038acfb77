public import BerthWire

/// What a writer has to know about a stream besides its pages and its device state.
public struct StreamPlan: Sendable, Equatable {
    /// The configuration section; a mapped-ram writer adds its capability by itself.
    public var configuration: ConfigurationSection
    /// Section id of the RAM section; any number that no device section of the stream has.
    public var ramSectionID: UInt32
    /// Whether a return path is opened, so that the destination acknowledges the end.
    public var opensReturnPath: Bool
    /// Whether sections end in a footer; QEMU's default, off only where an older stream had none.
    public var hasFooters: Bool

    /// Describes a stream with QEMU 10.0's defaults.
    public init(
        configuration: ConfigurationSection,
        ramSectionID: UInt32 = 1,
        opensReturnPath: Bool = false,
        hasFooters: Bool = true
    ) {
        self.configuration = configuration
        self.ramSectionID = ramSectionID
        self.opensReturnPath = opensReturnPath
        self.hasFooters = hasFooters
    }
}
