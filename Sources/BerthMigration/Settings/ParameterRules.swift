public import BerthQAPI

/// What migration parameters must satisfy beside the ranges that the schema declares.
public enum ParameterRules {
    /// A parameter that changes nothing yet, and how to see whether it was changed.
    private struct Unbuilt: Sendable {
        let name: String
        let differs: @Sendable (MigrationParameters, MigrationParameters) -> Bool
    }

    private static let unbuilt: [Unbuilt] = [
        Unbuilt(name: "tls-creds") { $0.tlsCreds != $1.tlsCreds },
        Unbuilt(name: "tls-hostname") { $0.tlsHostname != $1.tlsHostname },
        Unbuilt(name: "tls-authz") { $0.tlsAuthz != $1.tlsAuthz },
        Unbuilt(name: "x-checkpoint-delay") { $0.xCheckpointDelay != $1.xCheckpointDelay },
        Unbuilt(name: "multifd-qatzip-level") { $0.multifdQatzipLevel != $1.multifdQatzipLevel },
        Unbuilt(name: "max-postcopy-bandwidth") {
            $0.maxPostcopyBandwidth != $1.maxPostcopyBandwidth
        },
        Unbuilt(name: "block-bitmap-mapping") {
            ($0.blockBitmapMapping ?? []).isEmpty != ($1.blockBitmapMapping ?? []).isEmpty
        },
        Unbuilt(name: "mode") { $0.mode != $1.mode },
    ]

    /// Judges the whole set of parameters that a change would lead to.
    ///
    /// - Parameters:
    ///   - next: the values after the change; each within its own range already.
    ///   - current: the values before.
    /// - Throws: `MigrationError` if values contradict each other, or if one was changed whose work
    ///   isn't built.
    public static func check(
        _ next: MigrationParameters,
        from current: MigrationParameters
    ) throws(MigrationError) {
        guard next.cpuThrottleInitial <= next.maxCPUThrottle else {
            throw MigrationError(
                "parameter 'cpu-throttle-initial' (\(next.cpuThrottleInitial)) exceeds "
                    + "'max-cpu-throttle' (\(next.maxCPUThrottle))",
                hint: "change both in one command"
            )
        }
        let cache = next.xbzrleCacheSize
        guard cache >= 4096, cache.nonzeroBitCount == 1 else {
            throw MigrationError(
                "parameter 'xbzrle-cache-size' is \(cache), a power of two from 4096 on is needed"
            )
        }
        if let changed = unbuilt.first(where: { $0.differs(next, current) }) {
            throw MigrationError(
                "parameter '\(changed.name)' changes something that is not built into this version "
                    + "of Berth",
                hint: "leave it at its present value"
            )
        }
    }
}
