import BerthJSON
import BerthQAPI

extension CommandLineReader {
    /// Questions that are answered only when all options have turned out to be right.
    func lateAnswer(_ option: GivenOption) -> String? {
        guard option.value == "help" || option.value == "?" else { return nil }
        return switch option.name {
        case "chardev": "Available chardev backend types:\n  socket\n  stdio\n  null\n"
        case "device": "An endpoint has no devices.\n"
        case "cpu": "Available CPUs:\n"
        default: nil
        }
    }

    /// The answer to an option that is a question.
    func answer(_ option: GivenOption) throws(CommandLineError) -> String? {
        switch (option.name, option.value) {
        case ("h", _), ("help", _): return helpText()
        case ("version", _): return Self.versionText
        case ("M", "help"), ("machine", "help"), ("M", "?"), ("machine", "?"):
            return machineList()
        case ("accel", "help"), ("accel", "?"), ("accel", ""):
            return "Accelerators supported in QEMU binary:\ntcg\nkvm\n"
        case ("object", "help"), ("object", "?"):
            return "List of user creatable objects:\n"
                + ObjectType.allCases.map { "  \($0.rawValue)\n" }.joined()
        case ("display", "help"): return "Available display backend types:\nnone\n"
        case ("M", let value), ("machine", let value):
            return value.hasSuffix(",help") ? try propertyList(option) : nil
        default: return nil
        }
    }

    static let versionText =
        "QEMU emulator version \(BerthVersion.shown) (\(BerthVersion.info.package))\n"
        + "Berth, one end of a virtual-machine migration without a hypervisor\n"

    private func machineList() -> String {
        var text = "Supported machines are:\n"
        func add(_ name: String, _ summary: String) {
            let padding = String(repeating: " ", count: max(1, 21 - name.utf8.count))
            text += name + padding + summary + "\n"
        }
        for machine in MachineCatalog.machines(for: draft.architecture) {
            if let alias = machine.alias {
                add(alias, "\(machine.summary) (alias of \(machine.name))")
            }
            var summary = machine.summary
            if machine.name == MachineCatalog.defaultName { summary += " (default)" }
            if machine.isDeprecated { summary += " (deprecated)" }
            add(machine.name, summary)
        }
        return text
    }

    private func propertyList(_ option: GivenOption) throws(CommandLineError) -> String {
        let name = String(option.value.dropLast(",help".count).prefix { $0 != "," })
        let known = MachineCatalog.machine(named: name, architecture: draft.architecture)
        guard let machine = known else {
            throw CommandLineError(
                "unsupported machine type: \"\(name)\"",
                hints: ["Use -machine help to list supported machines"]
            )
        }
        return "\(machine.name)-machine options:\n"
            + MachineProperties.names(of: machine).map { "  \($0)\n" }.joined()
    }

    private func helpText() -> String {
        // Under QEMU's name the program is an endpoint without a further word.
        let program = draft.format.program
        let invocation = program.hasPrefix("qemu-system-") ? program : "\(program) run"
        return Self.versionText + """
            usage: \(invocation) [options]

            The options are those of qemu-system-x86_64. What only concerns devices, processors or
            a screen is accepted and ignored.

            Guest:
            -machine NAME[,memory-backend=ID]  the machine to pass for; '-machine help' lists them
            -m [size=]N[,slots=N,maxmem=N]     size of RAM, in mebibytes or with a suffix
            -object memory-backend-ram|file|memfd,id=ID,size=N[,mem-path=PATH][,share=on]...
            -numa node,memdev=ID               RAM made of several backends
            -smp N                             number of processors to report
            -name NAME  -uuid UUID             who the guest is
            -S                                 don't start it yet

            Migration:
            -incoming defer|ADDRESS            wait for a guest instead of starting one
            -global migration.NAME=VALUE       set a capability or parameter
            -only-migratable                   refuse what would keep the guest from leaving
            -add-fd fd=N,set=N[,opaque=TEXT]   an inherited descriptor, for /dev/fdset/N

            Monitors:
            -qmp DEV  -qmp-pretty DEV          for programs, on unix:PATH, tcp:HOST:PORT or stdio
            -monitor DEV                       for people
            -chardev TYPE,id=ID,...  -mon ID[,mode=control|readline][,pretty=on]

            Process:
            -daemonize  -pidfile PATH  -msg timestamp=on  -no-shutdown  -action ACTIONS
            -version  -help

            """
    }
}
