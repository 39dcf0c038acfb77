import BerthQAPI

/// The rules between capabilities and parameters: `CapabilitySet` and `ParameterRules` have those
/// within each.
enum SettingRules {
    /// Judges settings whenever one of them is changed.
    /// - Throws: `MigrationError` that names both.
    static func check(
        _ capabilities: CapabilitySet,
        _ parameters: MigrationParameters
    ) throws(MigrationError) {
        guard capabilities[.zeroCopySend], parameters.multifdCompression != .none else { return }
        throw MigrationError(
            "capability 'zero-copy-send' sends pages as they are, parameter 'multifd-compression' "
                + "is '\(parameters.multifdCompression.rawValue)'",
            hint: "set multifd-compression to none, or turn zero-copy-send off"
        )
    }

    /// Judges settings that may stand beside each other, when a migration starts.
    /// - Throws: `MigrationError` that names both.
    static func checkAtStart(
        _ capabilities: CapabilitySet,
        _ parameters: MigrationParameters
    ) throws(MigrationError) {
        guard capabilities[.mappedRAM], parameters.multifdCompression != .none else { return }
        throw MigrationError(
            "capability 'mapped-ram' gives each page its place, parameter 'multifd-compression' is "
                + "'\(parameters.multifdCompression.rawValue)'",
            hint: "set multifd-compression to none"
        )
    }
}
