internal import BerthJSON
internal import BerthMonitor
internal import BerthQAPI

// What the guest does and who it is.
extension HMPCommands {
    var guestCommands: [HMPCommand] {
        [
            command("stop", aliases: ["s"], .stop, summary: "stop the guest"),
            command("cont", aliases: ["c"], .cont, summary: "let the guest run"),
            command("system_reset", .systemReset, summary: "reset the guest"),
            command(
                "quit",
                aliases: ["q"],
                .quit,
                summary: "end the endpoint",
                endsSession: true
            ),
        ]
    }

    var guestInformation: [HMPCommand] {
        [
            HMPCommand("status", summary: "show whether the guest runs", action: status),
            HMPCommand("version", summary: "show the version", action: version),
            HMPCommand("name", summary: "show the guest's name", action: name),
            HMPCommand("uuid", summary: "show the guest's UUID", action: uuid),
            HMPCommand("kvm", summary: "show whether KVM is in use", action: kvm),
        ]
    }

    /// A command without arguments and without output.
    func command(
        _ name: String,
        aliases: [String] = [],
        _ qmpCommand: QMPCommand,
        summary: String,
        endsSession: Bool = false
    ) -> HMPCommand {
        let execute = execute
        return HMPCommand(
            name,
            aliases: aliases,
            summary: summary,
            endsSession: endsSession,
            action: { (invocation: HMPInvocation) async throws(QMPError) in
                try await invocation.perform(qmpCommand, by: execute)
            }
        )
    }

    private func status(_ invocation: HMPInvocation) async throws(QMPError) {
        let info = try await invocation.query(.queryStatus, StatusInfo.self, by: execute)
        var text = "VM status: " + (info.running ? "running" : "paused")
        if !info.running, info.status != .paused { text += " (\(info.status.rawValue))" }
        invocation.console.writeLine(text)
    }

    private func version(_ invocation: HMPInvocation) async throws(QMPError) {
        let info = try await invocation.query(.queryVersion, VersionInfo.self, by: execute)
        let version = info.qemu
        invocation.console.writeLine(
            "\(version.major).\(version.minor).\(version.micro)\(info.package)"
        )
    }

    private func name(_ invocation: HMPInvocation) async throws(QMPError) {
        let info = try await invocation.query(.queryName, NameInfo.self, by: execute)
        if let name = info.name { invocation.console.writeLine(name) }
    }

    private func uuid(_ invocation: HMPInvocation) async throws(QMPError) {
        let info = try await invocation.query(.queryUUID, UUIDInfo.self, by: execute)
        invocation.console.writeLine(info.uuid)
    }

    private func kvm(_ invocation: HMPInvocation) async throws(QMPError) {
        let info = try await invocation.query(.queryKVM, KVMInfo.self, by: execute)
        let state = !info.present ? "not compiled" : info.enabled ? "enabled" : "disabled"
        invocation.console.writeLine("kvm support: \(state)")
    }
}
