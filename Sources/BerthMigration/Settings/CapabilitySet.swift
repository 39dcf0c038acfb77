public import BerthQAPI

/// The migration capabilities that are on, and the rules between them.
public struct CapabilitySet: Sendable, Equatable {
    private var enabled: Set<MigrationCapability> = []

    /// All off, as at the start of every endpoint.
    public init() {}

    /// Whether `capability` is on.
    public subscript(capability: MigrationCapability) -> Bool {
        enabled.contains(capability)
    }

    /// What Berth can do.
    ///
    /// The others are refused, never accepted and ignored.
    ///
    /// `late-block-activate`, `zero-blocks` and `events` ask nothing of a guest without disks that
    /// isn't done anyway, `release-ram` nothing of a migration that doesn't become postcopy.
    public static let built: Set<MigrationCapability> = [
        .events, .returnPath, .pauseBeforeSwitchover, .lateBlockActivate, .zeroBlocks,
        .validateUUID, .mappedRAM, .xbzrle, .autoConverge, .dirtyLimit, .releaseRAM,
        .xIgnoreShared, .switchoverAck, .backgroundSnapshot, .multifd, .zeroCopySend,
    ]

    /// One line of QEMU's consistency rules: what a capability needs and what it can't be with.
    private struct Rule {
        let capability: MigrationCapability
        var needs: [MigrationCapability] = []
        var excludes: [MigrationCapability] = []
    }

    private static let rules: [Rule] = [
        Rule(capability: .postcopyRAM, excludes: [.xIgnoreShared, .multifd]),
        Rule(
            capability: .backgroundSnapshot,
            excludes: [
                .postcopyRAM, .dirtyBitmaps, .postcopyBlocktime, .lateBlockActivate, .returnPath,
                .multifd, .pauseBeforeSwitchover, .autoConverge, .releaseRAM, .rdmaPinAll, .xbzrle,
                .xCOLO, .validateUUID, .zeroCopySend,
            ]
        ),
        Rule(capability: .zeroCopySend, needs: [.multifd], excludes: [.xbzrle]),
        Rule(capability: .postcopyPreempt, needs: [.postcopyRAM]),
        Rule(capability: .multifd, excludes: [.xbzrle]),
        Rule(capability: .switchoverAck, needs: [.returnPath]),
        Rule(capability: .dirtyLimit, excludes: [.autoConverge]),
        // QEMU 10.0 permits the pair with x-ignore-shared, and can't load what it saves.
        Rule(capability: .mappedRAM, excludes: [.xbzrle, .postcopyRAM, .xIgnoreShared]),
    ]

    /// The set after `changes`, applied in order; later ones win.
    ///
    /// - Throws: `MigrationError` if the result breaks a rule or asks for what isn't built; nothing
    ///   is changed then.
    public func applying(
        _ changes: [MigrationCapabilityStatus]
    ) throws(MigrationError) -> CapabilitySet {
        var result = self
        for change in changes {
            if change.state {
                result.enabled.insert(change.capability)
            } else {
                result.enabled.remove(change.capability)
            }
        }
        for rule in Self.rules where result[rule.capability] {
            if let missing = rule.needs.first(where: { !result[$0] }) {
                throw MigrationError(
                    "capability '\(rule.capability.rawValue)' needs '\(missing.rawValue)'",
                    hint: "turn '\(missing.rawValue)' on first, or both in one command"
                )
            }
            if let other = rule.excludes.first(where: { result[$0] }) {
                throw MigrationError(
                    "capability '\(rule.capability.rawValue)' cannot be used together with "
                        + "'\(other.rawValue)'",
                    hint: "turn one of them off"
                )
            }
        }
        // Judged like the rules: what a later entry turns off again is no matter.
        let unbuilt = changes.map(\.capability).first { result[$0] && !Self.built.contains($0) }
        if let unbuilt {
            throw MigrationError(
                "capability '\(unbuilt.rawValue)' is not built into this version of Berth"
            )
        }
        return result
    }

    /// All capabilities in QEMU's order, with their states.
    public var all: [MigrationCapabilityStatus] {
        MigrationCapability.allCases.map {
            MigrationCapabilityStatus(capability: $0, state: enabled.contains($0))
        }
    }
}
