import BerthQAPI
import BerthWire

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
        if capabilities[.xbzrle], parameters.xIntegrity != .none {
            throw MigrationError(
                "capability 'xbzrle' sends differences of pages, parameter 'x-integrity' sums up "
                    + "whole ones",
                hint: "turn xbzrle off, or set x-integrity to none"
            )
        }
        guard capabilities[.mappedRAM], parameters.multifdCompression != .none else { return }
        throw MigrationError(
            "capability 'mapped-ram' gives each page its place, parameter 'multifd-compression' is "
                + "'\(parameters.multifdCompression.rawValue)'",
            hint: "set multifd-compression to none"
        )
    }
}

extension ImageIntegrity {
    /// How pages are summed up; nil if they aren't.
    var algorithm: IntegrityAlgorithm? {
        switch self {
        case .none: nil
        case .crc32c: .crc32c
        case .blake3: .blake3
        }
    }
}
