import BerthMigration
import BerthQAPI
import Testing

/// Rules between capabilities, and between parameters.
@Suite struct SettingsTests {
    typealias Change = MigrationCapabilityStatus

    private func on(_ capabilities: MigrationCapability...) -> [Change] {
        capabilities.map { Change(capability: $0, state: true) }
    }

    @Test func `all are off at first, in QEMU's order`() {
        let all = CapabilitySet().all
        #expect(all.map(\.capability) == MigrationCapability.allCases)
        #expect(all.allSatisfy { !$0.state })
        #expect(all.count == 22)
        #expect(all.first?.capability.rawValue == "xbzrle")
        #expect(all.last?.capability.rawValue == "mapped-ram")
    }

    @Test(arguments: MigrationCapability.allCases)
    func `what is not built is refused, what is built is set and cleared`(
        _ capability: MigrationCapability
    ) throws {
        // Two can't be on alone.
        let change =
            switch capability {
            case .switchoverAck: on(.returnPath, capability)
            case .zeroCopySend: on(.multifd, capability)
            default: on(capability)
            }
        guard CapabilitySet.built.contains(capability) else {
            let error = #expect(throws: MigrationError.self) {
                try CapabilitySet().applying(change)
            }
            #expect(error?.message.contains("'\(capability.rawValue)'") == true)
            return
        }
        let set = try CapabilitySet().applying(change)
        #expect(set[capability])
        let cleared = try set.applying(
            change.map { Change(capability: $0.capability, state: false) }
        )
        #expect(cleared == CapabilitySet())
    }

    @Test(arguments: [
        ([MigrationCapability.postcopyRAM, .multifd], "cannot be used together"),
        ([.postcopyRAM, .xIgnoreShared], "cannot be used together"),
        ([.mappedRAM, .xbzrle], "cannot be used together"),
        ([.mappedRAM, .postcopyRAM], "cannot be used together"),
        ([.mappedRAM, .xIgnoreShared], "cannot be used together"),
        ([.multifd, .xbzrle], "cannot be used together"),
        ([.dirtyLimit, .autoConverge], "cannot be used together"),
        ([.backgroundSnapshot, .returnPath], "cannot be used together"),
        ([.zeroCopySend], "needs 'multifd'"), ([.switchoverAck], "needs 'return-path'"),
        ([.postcopyPreempt], "needs 'postcopy-ram'"),
    ])
    func `a rule that is broken is named`(
        _ capabilities: [MigrationCapability],
        _ words: String
    ) {
        let error = #expect(throws: MigrationError.self) {
            try CapabilitySet().applying(
                capabilities.map { Change(capability: $0, state: true) }
            )
        }
        #expect(error?.message.contains(words) == true)
    }

    @Test func `later entries win, so what ends up off is not judged`() throws {
        let set = try CapabilitySet().applying(
            on(.xbzrle, .mappedRAM, .events)
                + [
                    Change(capability: .xbzrle, state: false),
                    Change(capability: .events, state: false),
                ]
        )
        #expect(set[.mappedRAM] && !set[.xbzrle] && !set[.events])
        #expect(try CapabilitySet().applying([]) == CapabilitySet())
    }

    @Test func `what may change a running migration is taken`() throws {
        var next = MigrationParameters()
        next.maxBandwidth = 1
        next.downtimeLimit = 0
        next.availSwitchoverBandwidth = 7
        next.zeroPageDetection = .none
        next.announceRounds = 1
        next.vcpuDirtyLimit = 2
        next.cpuThrottleIncrement = 11
        next.throttleTriggerThreshold = 1
        next.xbzrleCacheSize = 1 << 20
        next.xDirtyTracking = .kernel
        next.multifdChannels = 4
        next.multifdCompression = .zstd
        next.directIO = true
        try ParameterRules.check(next, from: MigrationParameters())
    }

    @Test func `what is not built is refused, and values that contradict each other`() {
        let changes: [(String, (inout MigrationParameters) -> Void)] = [
            ("tls-creds", { $0.tlsCreds = "tls0" }),
            ("multifd-qatzip-level", { $0.multifdQatzipLevel = 2 }),
            ("mode", { $0.mode = .cprReboot }),
            ("max-postcopy-bandwidth", { $0.maxPostcopyBandwidth = 1 }),
            (
                "cpu-throttle-initial",
                {
                    $0.cpuThrottleInitial = 99; $0.maxCPUThrottle = 50
                }
            ),
            ("xbzrle-cache-size", { $0.xbzrleCacheSize = 4097 }),
            ("xbzrle-cache-size", { $0.xbzrleCacheSize = 2048 }),
            ("xbzrle-cache-size", { $0.xbzrleCacheSize = 0 }),
        ]
        for (name, change) in changes {
            var next = MigrationParameters()
            change(&next)
            let error = #expect(throws: MigrationError.self, "\(name)") {
                try ParameterRules.check(next, from: MigrationParameters())
            }
            #expect(error?.message.contains("'\(name)'") == true, "\(name)")
        }
    }
}
