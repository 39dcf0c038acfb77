import BerthJSON
import BerthQAPI
import BerthWire

extension CommandLineReader {
    /// Takes an option that is about the process, or about the guest as a whole.
    mutating func takeProcess(_ option: GivenOption) throws(CommandLineError) {
        switch option.name {
        case "name": try takeName(option)
        case "msg": try takeMessageFormat(option)
        case "uuid":
            guard let uuid = GuestUUID(option.value) else {
                throw CommandLineError("failed to parse UUID string: wrong format")
            }
            draft.uuid = uuid
        case "S": draft.startsPaused = true
        case "only-migratable": draft.isOnlyMigratable = true
        case "pidfile": draft.pidFile = option.value
        case "daemonize": draft.daemonizes = true
        case "nographic": draft.isNoGraphic = true
        case "nodefaults": draft.hasNoDefaults = true
        case "no-shutdown": draft.actions.shutdown = .pause
        case "no-reboot": draft.actions.reboot = .shutdown
        case "action": try takeActions(try options(option, .action).object)
        case "watchdog-action": try takeActions(["watchdog": .string(option.value)])
        case "add-fd":
            draft.addedDescriptors.append((try options(option, .addedDescriptor), option.location))
        case "sandbox": try checkSandbox(try options(option, .sandbox))
        case "overcommit": try checkOvercommit(try options(option, .overcommit))
        case "run-with": try checkRunWith(try options(option, .runWith))
        case "loadvm": draft.hasSnapshot = true
        default: break
        }
    }

    private mutating func takeName(_ option: GivenOption) throws(CommandLineError) {
        let options = try options(option, .name)
        draft.name = options["guest"] ?? draft.name
        draft.processName = options["process"] ?? draft.processName
        updateMessageFormat()
    }

    private mutating func takeMessageFormat(_ option: GivenOption) throws(CommandLineError) {
        let options = try options(option, .messages)
        draft.format.hasTimestamp = options.flag("timestamp") ?? draft.format.hasTimestamp
        draft.showsGuestName = options.flag("guest-name") ?? draft.showsGuestName
        updateMessageFormat()
    }

    private mutating func updateMessageFormat() {
        draft.format.guestName = draft.showsGuestName ? draft.name : nil
    }

    private mutating func takeActions(_ object: JSONObject) throws(CommandLineError) {
        let new = try schemaChecked { () throws(QMPError) in
            try SetActionArguments(checking: object, spelling: .options)
        }
        draft.actions.reboot = new.reboot ?? draft.actions.reboot
        draft.actions.shutdown = new.shutdown ?? draft.actions.shutdown
        draft.actions.panic = new.panic ?? draft.actions.panic
        draft.actions.watchdog = new.watchdog ?? draft.actions.watchdog
    }

    /// The sandbox would keep the process from what it doesn't do anyway; only its spelling counts.
    private func checkSandbox(_ options: QemuOptions) throws(CommandLineError) {
        let words = [
            "obsolete": ["allow", "deny"], "elevateprivileges": ["allow", "deny", "children"],
            "spawn": ["allow", "deny"], "resourcecontrol": ["allow", "deny"],
        ]
        for key in ["obsolete", "elevateprivileges", "spawn", "resourcecontrol"] {
            guard let value = options[key], words[key]?.contains(value) == false else { continue }
            throw CommandLineError("invalid argument for \(key)")
        }
    }

    private func checkOvercommit(_ options: QemuOptions) throws(CommandLineError) {
        guard let value = options["mem-lock"], Bool(switchText: value) == nil, value != "on-fault"
        else { return }
        throw CommandLineError("parameter 'mem-lock' expects one of 'on', 'off', 'on-fault'")
    }

    /// What would confine the process must not be dropped in silence.
    private func checkRunWith(_ options: QemuOptions) throws(CommandLineError) {
        for key in ["chroot", "user"] where options[key] != nil {
            throw CommandLineError(
                "'\(key)' is not built into this version of Berth",
                hints: ["Start berth as the user, and in the directory, that it is to have."]
            )
        }
    }

    /// The descriptors of `-add-fd`.
    func finishDescriptors() throws(CommandLineError) -> [AddedDescriptor] {
        var list: [AddedDescriptor] = []
        for (options, location) in draft.addedDescriptors {
            do {
                list.append(try descriptor(options, location))
            } catch {
                throw error.located(location)
            }
        }
        return list
    }

    private func descriptor(
        _ options: QemuOptions,
        _ location: String
    ) throws(CommandLineError) -> AddedDescriptor {
        let number = options.number("fd").map { Int32(truncatingIfNeeded: $0) } ?? -1
        let set = options.number("set") ?? -1
        guard number >= 0 else {
            throw CommandLineError("fd option is required and must be non-negative")
        }
        guard number > 2 else { throw CommandLineError("fd cannot be a standard I/O stream") }
        guard environment.isInherited(number) else {
            throw CommandLineError("fd is not valid or already in use")
        }
        guard set >= 0 else {
            throw CommandLineError("set option is required and must be non-negative")
        }
        return AddedDescriptor(
            descriptor: number,
            set: set,
            opaque: options["opaque"],
            location: location
        )
    }
}
