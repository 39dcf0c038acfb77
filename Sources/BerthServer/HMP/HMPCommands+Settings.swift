internal import BerthJSON
internal import BerthMonitor
internal import BerthQAPI

// Capabilities and parameters.
extension HMPCommands {
    var settingCommands: [HMPCommand] {
        [
            HMPCommand(
                "migrate_set_capability",
                parameters: [HMPParameter("capability", .word), HMPParameter("state", .onOff)],
                summary: "switch a migration capability on or off",
                candidates: { index in
                    switch index {
                    case 0: MigrationCapability.allCases.map(\.rawValue)
                    case 1: ["off", "on"]
                    default: []
                    }
                },
                action: setCapability
            ),
            HMPCommand(
                "migrate_set_parameter",
                parameters: [HMPParameter("parameter", .word), HMPParameter("value", .word)],
                summary: "set a migration parameter",
                candidates: { $0 == 0 ? MigrationParameters.settings.map(\.name) : [] },
                action: setParameter
            ),
        ]
    }

    var settingInformation: [HMPCommand] {
        [
            HMPCommand(
                "migrate_capabilities",
                summary: "show the migration capabilities",
                action: showCapabilities
            ),
            HMPCommand(
                "migrate_parameters",
                summary: "show the migration parameters",
                action: showParameters
            ),
        ]
    }

    private func setCapability(_ invocation: HMPInvocation) async throws(QMPError) {
        let name = invocation.arguments.text("capability")
        guard let capability = MigrationCapability(name: name) else { throw .invalidName(name) }
        let status = MigrationCapabilityStatus(
            capability: capability,
            state: invocation.arguments.isOn("state")
        )
        let arguments = MigrateSetCapabilitiesArguments(capabilities: [status])
        try await invocation.perform(.migrateSetCapabilities(arguments), by: execute)
    }

    private func setParameter(_ invocation: HMPInvocation) async throws(QMPError) {
        let changes = try MigrateSetParameters(
            hmpName: invocation.arguments.text("parameter"),
            value: invocation.arguments.text("value")
        )
        try await invocation.perform(.migrateSetParameters(changes), by: execute)
    }

    private func showCapabilities(_ invocation: HMPInvocation) async throws(QMPError) {
        let capabilities = try await invocation.query(
            .queryMigrateCapabilities,
            [MigrationCapabilityStatus].self,
            by: execute
        )
        for status in capabilities {
            invocation.console.writeLine("\(status.capability.rawValue): \(status.state.onOff)")
        }
    }

    private func showParameters(_ invocation: HMPInvocation) async throws(QMPError) {
        let parameters = try await invocation.query(
            .queryMigrateParameters,
            MigrationParameters.self,
            by: execute
        )
        invocation.console.write(parameters.hmpText)
    }
}
