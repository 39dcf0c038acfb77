/// The monitor on which a command was given: what belongs to it and not to the endpoint.
public final class MonitorContext: Sendable {
    /// The device's label, such as `compat_monitor0`.
    public let label: String
    /// Descriptors that the monitor's clients have handed in.
    public let descriptors = NamedDescriptors()

    /// A monitor without descriptors.
    public init(label: String) {
        self.label = label
    }
}
