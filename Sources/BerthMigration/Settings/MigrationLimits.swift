public import BerthQAPI

/// The parameters that take effect on a migration while it runs.
public struct MigrationLimits: Sendable, Equatable {
    /// Bytes per second (`max-bandwidth`); 0 is no limit.
    public var bytesPerSecond: UInt64
    /// Milliseconds that the guest may be stopped for (`downtime-limit`).
    public var downtime: UInt64
    /// Bytes per second while the guest is stopped (`avail-switchover-bandwidth`); 0: as measured.
    public var switchoverBytesPerSecond: UInt64
    /// Bytes of pages that delta compression remembers (`xbzrle-cache-size`).
    public var deltaCacheByteCount: UInt64
    /// Share of what is sent, in per cent, that a guest may change meanwhile
    /// (`throttle-trigger-threshold`).
    public var triggerPercentage: Int
    /// First step of a throttle in per cent (`cpu-throttle-initial`).
    public var throttleInitial: Int
    /// Further steps (`cpu-throttle-increment`).
    public var throttleIncrement: Int
    /// Whether the last steps are smaller (`cpu-throttle-tailslow`).
    public var throttlesSlowlyAtTheEnd: Bool
    /// Most that is throttled (`max-cpu-throttle`).
    public var throttleMaximum: Int
    /// MB per second that each writer may change (`vcpu-dirty-limit`).
    public var dirtyLimit: UInt64

    /// Picks them out of all parameters.
    public init(_ parameters: MigrationParameters = MigrationParameters()) {
        bytesPerSecond = parameters.maxBandwidth
        downtime = parameters.downtimeLimit
        switchoverBytesPerSecond = parameters.availSwitchoverBandwidth
        deltaCacheByteCount = parameters.xbzrleCacheSize
        triggerPercentage = Int(parameters.throttleTriggerThreshold)
        throttleInitial = Int(parameters.cpuThrottleInitial)
        throttleIncrement = Int(parameters.cpuThrottleIncrement)
        throttlesSlowlyAtTheEnd = parameters.cpuThrottleTailslow
        throttleMaximum = Int(parameters.maxCPUThrottle)
        dirtyLimit = parameters.vcpuDirtyLimit
    }
}
