import BerthJSON
import BerthMonitor
import BerthQAPI
import Testing

@testable import BerthServer

@Suite struct HMPSettingTests {
    private let script = HMPScript()

    @Test(arguments: [
        ("mapped-ram on", MigrationCapability.mappedRAM, true),
        ("fixed-ram on", .mappedRAM, true),
        ("fixed-ram off", .mappedRAM, false),
        ("track-writes-ram on", .backgroundSnapshot, true),
        ("xbzrle off", .xbzrle, false),
    ])
    func `switches a capability by each of its names`(
        arguments: String,
        capability: MigrationCapability,
        state: Bool
    ) async {
        #expect(await script.output("migrate_set_capability " + arguments) == "")
        let status = MigrationCapabilityStatus(capability: capability, state: state)
        let expected = MigrateSetCapabilitiesArguments(capabilities: [status])
        #expect(script.commands == [.migrateSetCapabilities(expected)])
    }

    @Test(arguments: [
        ("migrate_set_capability foo on", "Error: invalid parameter value: foo\n"),
        ("migrate_set_parameter foo 1", "Error: invalid parameter value: foo\n"),
        ("migrate_continue foo", "Error: invalid parameter value: foo\n"),
        (
            "migrate_set_capability xbzrle yes",
            "Expected 'on' or 'off'\nTry \"help migrate_set_capability\" for more information\n"
        ),
        (
            "migrate_set_parameter max-bandwidth",
            "migrate_set_parameter: string expected\n"
                + "Try \"help migrate_set_parameter\" for more information\n"
        ),
    ])
    func `names what it doesn't know`(line: String, expected: String) async {
        #expect(await script.output(line) == expected)
        #expect(script.commands == [])
    }

    @Test(arguments: [
        ("max-bandwidth 10", MigrateSetParameters(maxBandwidth: 10 << 20)),
        ("max-bandwidth 1.5", MigrateSetParameters(maxBandwidth: 3 << 19)),
        ("max-bandwidth 0x10", MigrateSetParameters(maxBandwidth: 16 << 20)),
        ("max-bandwidth 10k", MigrateSetParameters(maxBandwidth: 10 << 10)),
        ("max-bandwidth 1G", MigrateSetParameters(maxBandwidth: 1 << 30)),
        ("max-bandwidth 7b", MigrateSetParameters(maxBandwidth: 7)),
        (
            "avail-switchover-bandwidth 2",
            MigrateSetParameters(availSwitchoverBandwidth: 2 << 20)
        ),
        ("max-postcopy-bandwidth 2", MigrateSetParameters(maxPostcopyBandwidth: 2)),
        ("xbzrle-cache-size 64M", MigrateSetParameters(xbzrleCacheSize: 64 << 20)),
        ("downtime-limit 1k", MigrateSetParameters(downtimeLimit: 1024)),
        ("downtime-limit 300", MigrateSetParameters(downtimeLimit: 300)),
        ("announce-initial 1k", MigrateSetParameters(announceInitial: 1024)),
        ("vcpu-dirty-limit 5", MigrateSetParameters(vcpuDirtyLimit: 5)),
        ("x-vcpu-dirty-limit-period 9", MigrateSetParameters(xVcpuDirtyLimitPeriod: 9)),
        ("multifd-channels 0x10", MigrateSetParameters(multifdChannels: 16)),
        ("x-checkpoint-delay 010", MigrateSetParameters(xCheckpointDelay: 8)),
        ("cpu-throttle-initial 20", MigrateSetParameters(cpuThrottleInitial: 20)),
        ("cpu-throttle-tailslow y", MigrateSetParameters(cpuThrottleTailslow: true)),
        ("direct-io off", MigrateSetParameters(directIO: false)),
        ("direct-io true", MigrateSetParameters(directIO: true)),
        ("multifd-compression zlib", MigrateSetParameters(multifdCompression: .zlib)),
        ("mode cpr-reboot", MigrateSetParameters(mode: .cprReboot)),
        ("zero-page-detection legacy", MigrateSetParameters(zeroPageDetection: .legacy)),
        ("tls-creds \"\"", MigrateSetParameters(tlsCreds: .string(""))),
        ("tls-hostname example", MigrateSetParameters(tlsHostname: .string("example"))),
    ])
    func `reads a value in the form that its parameter has`(
        arguments: String,
        changes: MigrateSetParameters
    ) async {
        #expect(await script.output("migrate_set_parameter " + arguments) == "")
        #expect(script.commands == [.migrateSetParameters(changes)])
    }

    @Test(arguments: [
        ("max-bandwidth 10MB", "Invalid size 10MB"),
        ("max-bandwidth -1", "Invalid size -1"),
        ("max-bandwidth 0x7fffffffffffffff", "Invalid size"),
        ("avail-switchover-bandwidth 8e", "Invalid size 8e"),
        ("downtime-limit 1.5", "Parameter 'downtime-limit' expects a non-negative number"),
        ("downtime-limit -1", "Parameter 'downtime-limit' expects a non-negative number"),
        ("announce-step abc", "Parameter 'announce-step' expects a non-negative number"),
        ("multifd-channels 1k", "Parameter 'multifd-channels' expects"),
        ("multifd-channels 300", "Parameter 'multifd-channels' expects uint8_t"),
        ("cpu-throttle-tailslow maybe", "Parameter 'cpu-throttle-tailslow' expects 'on' or 'off'"),
        ("multifd-compression bad", "Parameter 'multifd-compression' does not accept value 'bad'"),
        ("block-bitmap-mapping x", "The block-bitmap-mapping parameter can only be set through"),
    ])
    func `refuses a value that isn't one for its parameter`(
        arguments: String,
        expected: String
    ) async {
        let output = await script.output("migrate_set_parameter " + arguments)
        #expect(output.hasPrefix("Error: " + expected), "\(output)")
        #expect(script.commands == [])
    }

    @Test func `lists the capabilities in the order of the reply`() async {
        script.reply(
            "query-migrate-capabilities",
            [
                ["capability": "xbzrle", "state": false],
                ["capability": "mapped-ram", "state": true],
            ]
        )
        #expect(await script.output("info migrate_capabilities") == "xbzrle: off\nmapped-ram: on\n")
    }

    @Test func `lists the parameters as QEMU does`() async {
        script.reply("query-migrate-parameters", MigrationParameters().toJSON())
        #expect(await script.output("info migrate_parameters") == Self.defaults)
    }

    @Test func `lists bitmaps and texts among the parameters`() async {
        let bitmap = BitmapMigrationBitmapAlias(name: "b", alias: "bb")
        let node = BitmapMigrationNodeAlias(nodeName: "n", alias: "nn", bitmaps: [bitmap])
        let parameters = MigrationParameters(
            cpuThrottleTailslow: true,
            tlsCreds: "tls0",
            blockBitmapMapping: [node]
        )
        script.reply("query-migrate-parameters", parameters.toJSON())
        let output = await script.output("info migrate_parameters")
        #expect(output.contains("\ntls-creds: 'tls0'\n"))
        #expect(output.contains("\ncpu-throttle-tailslow: on\n"))
        #expect(
            output.contains(
                "\ntls-authz: ''\nblock-bitmap-mapping:\n  'n' -> 'nn'\n    'b' -> 'bb'\n"
                    + "x-vcpu-dirty-limit-period: 1000 ms\n"
            )
        )
    }

    @Test func `completes names of capabilities and parameters`() {
        let table = script.table
        #expect(
            table.completion(of: "migrate_set_capability mapped").candidates == ["mapped-ram"]
        )
        #expect(
            table.completion(of: "migrate_set_capability mapped-ram o").candidates == ["off", "on"]
        )
        #expect(
            table.completion(of: "migrate_set_parameter max-").candidates
                == ["max-bandwidth", "max-cpu-throttle", "max-postcopy-bandwidth"]
        )
        #expect(table.completion(of: "migrate_set_parameter max-bandwidth ").candidates == [])
        #expect(table.completion(of: "info migrate_").candidates.count == 2)
        #expect(table.completion(of: "migrate ").candidates == [])
    }

    /// From QEMU 10.0.2, right after its start.
    private static let defaults = """
        announce-initial: 50 ms
        announce-max: 550 ms
        announce-rounds: 5
        announce-step: 100 ms
        throttle-trigger-threshold: 50
        cpu-throttle-initial: 20
        cpu-throttle-increment: 10
        cpu-throttle-tailslow: off
        max-cpu-throttle: 99
        tls-creds: ''
        tls-hostname: ''
        max-bandwidth: 134217728 bytes/second
        avail-switchover-bandwidth: 0 bytes/second
        downtime-limit: 300 ms
        x-checkpoint-delay: 20000 ms
        multifd-channels: 2
        multifd-compression: none
        zero-page-detection: multifd
        xbzrle-cache-size: 67108864 bytes
        max-postcopy-bandwidth: 0
        tls-authz: ''
        x-vcpu-dirty-limit-period: 1000 ms
        vcpu-dirty-limit: 1 MB/s
        mode: normal
        direct-io: off
        x-dirty-tracking: auto
        x-mapped-ram-restore: copy
        x-mapped-ram-prefetch: off
        x-mapped-ram-save: auto
        x-integrity: none

        """
}
