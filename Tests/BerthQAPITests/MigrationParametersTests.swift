import BerthJSON
import BerthQAPI
import Testing

/// The parameters of a migration: defaults, bounds, and how new values are laid over old ones.
@Suite struct MigrationParametersTests {
    @Test func `the defaults are those of QEMU 10, and one of ours`() {
        let expected: JSONObject = [
            "announce-initial": .integer(50), "announce-max": .integer(550),
            "announce-rounds": .integer(5), "announce-step": .integer(100),
            "throttle-trigger-threshold": .integer(50), "cpu-throttle-initial": .integer(20),
            "cpu-throttle-increment": .integer(10), "cpu-throttle-tailslow": .bool(false),
            "tls-creds": .string(""), "tls-hostname": .string(""), "tls-authz": .string(""),
            "max-bandwidth": .integer(134_217_728), "avail-switchover-bandwidth": .integer(0),
            "downtime-limit": .integer(300), "x-checkpoint-delay": .integer(20000),
            "multifd-channels": .integer(2), "xbzrle-cache-size": .integer(67_108_864),
            "max-postcopy-bandwidth": .integer(0), "max-cpu-throttle": .integer(99),
            "multifd-compression": .string("none"), "multifd-zlib-level": .integer(1),
            "multifd-qatzip-level": .integer(1), "multifd-zstd-level": .integer(1),
            "x-vcpu-dirty-limit-period": .integer(1000), "vcpu-dirty-limit": .integer(1),
            "mode": .string("normal"), "zero-page-detection": .string("multifd"),
            "direct-io": .bool(false), "x-dirty-tracking": .string("auto"),
            "x-mapped-ram-restore": .string("copy"), "x-mapped-ram-prefetch": .bool(false),
            "x-mapped-ram-save": .string("auto"), "x-integrity": .string("none"),
        ]
        #expect(MigrationParameters().toObject() == expected)
    }

    /// Name, one below the smallest value, smallest, largest, one above, and the text.
    private static let bounds: [(name: String, low: Int64, high: Int64)] = [
        ("announce-initial", 0, 100_000), ("announce-max", 0, 100_000),
        ("announce-rounds", 0, 1000), ("announce-step", 1, 10000),
        ("throttle-trigger-threshold", 1, 100), ("cpu-throttle-initial", 1, 99),
        ("cpu-throttle-increment", 1, 99), ("downtime-limit", 0, 2_000_000),
        ("max-cpu-throttle", 1, 99), ("multifd-zlib-level", 0, 9),
        ("multifd-qatzip-level", 1, 9), ("multifd-zstd-level", 0, 20),
        ("x-vcpu-dirty-limit-period", 1, 1000),
    ]

    @Test(arguments: bounds) func `bounds hold`(bound: (name: String, low: Int64, high: Int64))
        throws
    {
        let shown = String(bound.name.map { $0 == "-" ? "_" : $0 })
        let text =
            "Parameter '\(shown)' expects a value between \(bound.low) and \(bound.high)"
        for value in [bound.low, bound.high] {
            #expect(try failure(bound.name, value) == nil)
        }
        #expect(try failure(bound.name, bound.high + 1) == text)
        if bound.low > 0 { #expect(try failure(bound.name, bound.low - 1) == text) }
    }

    @Test func `the texts for multifd and for a bound on one side`() throws {
        #expect(
            try failure("multifd-channels", 0)
                == "Parameter 'multifd_channels' expects a value between 1 and 255"
        )
        #expect(
            try failure("vcpu-dirty-limit", 0)
                == "Parameter 'vcpu_dirty_limit' expects a value of at least 1"
        )
    }

    private func failure(_ name: String, _ value: Int64) throws -> String? {
        let changes = try MigrateSetParameters(checking: [name: .integer(value)])
        var parameters = MigrationParameters()
        do {
            try parameters.apply(changes)
            #expect(parameters.toObject()[name] == .integer(value))
            return nil
        } catch {
            #expect(parameters == MigrationParameters())
            return error.desc
        }
    }

    @Test func `new values replace old ones and leave the rest`() throws {
        var parameters = MigrationParameters(multifdChannels: 8)
        try parameters.apply(
            MigrateSetParameters(tlsCreds: .string("tls0"), maxBandwidth: 0, mode: .cprReboot)
        )
        #expect(
            parameters
                == MigrationParameters(
                    tlsCreds: "tls0",
                    maxBandwidth: 0,
                    multifdChannels: 8,
                    mode: .cprReboot
                )
        )
        try parameters.apply(MigrateSetParameters(tlsCreds: .null))
        #expect(parameters.tlsCreds.isEmpty)
    }

    @Test func `what was told can be set again`() throws {
        let told = MigrationParameters().toObject()
        var parameters = MigrationParameters()
        try parameters.apply(MigrateSetParameters(checking: told))
        #expect(parameters == MigrationParameters())
    }

    @Test func `the table has every parameter with its default`() {
        let defaults = MigrationParameters().toObject()
        for setting in MigrationParameters.settings {
            #expect(defaults[setting.name] == setting.defaultValue, "\(setting.name)")
            #expect(!setting.summary.isEmpty)
        }
        #expect(MigrationParameters.settings.count == 34)
        let unstable = MigrationParameters.settings.filter(\.isUnstable).map(\.name)
        #expect(
            unstable == [
                "x-checkpoint-delay", "x-vcpu-dirty-limit-period", "x-dirty-tracking",
                "x-mapped-ram-restore", "x-mapped-ram-prefetch", "x-mapped-ram-save",
                "x-integrity",
            ]
        )
    }
}
