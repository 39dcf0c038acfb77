/// An option that QEMU's command line has.
struct CommandLineOption: Sendable {
    /// What Berth does with it.
    enum Treatment: Sendable {
        /// It means something here, too.
        case honoured
        /// It is about the guest's devices, processors or screen, which an endpoint doesn't have.
        case ignored
        /// It would change something that Berth has but can't do; the text says what.
        case refused(String)
    }

    let name: String
    let takesValue: Bool
    let treatment: Treatment

    /// The option of this name.
    static func named(_ name: String) -> CommandLineOption? { table[name] }

    private static let table: [String: CommandLineOption] = {
        var table: [String: CommandLineOption] = [:]
        func add(_ names: String, takesValue: Bool, _ treatment: Treatment) {
            for name in names.split(separator: " ").map(String.init) {
                table[name] = CommandLineOption(
                    name: name,
                    takesValue: takesValue,
                    treatment: treatment
                )
            }
        }
        add(
            """
            M machine m object numa mem-path smp accel name uuid incoming global chardev mon qmp \
            qmp-pretty monitor serial add-fd pidfile action watchdog-action msg sandbox overcommit \
            run-with loadvm display device cpu
            """,
            takesValue: true,
            .honoured
        )
        add(
            """
            h help version S enable-kvm mem-prealloc only-migratable daemonize no-shutdown \
            no-reboot nodefaults nographic
            """,
            takesValue: false,
            .honoured
        )
        add(
            """
            D L acpitable append audio audiodev bios blockdev boot cdrom compat d debugcon dfilter \
            drive dtb echr fda fdb fsdev fw_cfg g gdb hda hdb hdc hdd icount initrd iscsi k kernel \
            mtdblock net netdev nic option-rom parallel pflash plugin prom-env rtc sd seed \
            semihosting-config set shim smbios spice tpmdev trace usbdevice vga virtfs vnc xen-domid
            """,
            takesValue: true,
            .ignored
        )
        add(
            """
            enable-sync-profile full-screen jitdump no-fd-bootchk no-user-config old-param perfmap \
            s semihosting snapshot usb win2k-hack xen-attach xen-domid-restrict
            """,
            takesValue: false,
            .ignored
        )
        add("qtest", takesValue: true, .refused("the qtest protocol"))
        add("qtest-log", takesValue: true, .ignored)
        add("readconfig", takesValue: true, .refused("reading options from a file"))
        add("dump-vmstate", takesValue: true, .refused("describing the state of devices"))
        add("preconfig", takesValue: false, .refused("configuration before the machine is made"))
        return table
    }()
}

/// An option as it stands on a command line.
struct GivenOption: Sendable, Equatable {
    let name: String
    /// What follows it; empty for an option that takes nothing.
    let value: String
    /// Name and value as written, for messages.
    let location: String
}

/// Splits a command line into options.
enum CommandLineScanner {
    /// Looks all options up before any of them does anything, as QEMU does, so that an unknown one
    /// is reported whatever comes before it.
    ///
    /// - Returns: the options in order, and the disk images, which have no dash.
    static func scan(
        _ arguments: [String]
    ) throws(CommandLineError) -> (options: [GivenOption], images: [String]) {
        var options: [GivenOption] = []
        var images: [String] = []
        var rest = arguments[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("-") else {
                images.append(word)
                continue
            }
            let name = String(word.dropFirst(word.hasPrefix("--") ? 2 : 1))
            guard let option = CommandLineOption.named(name) else {
                throw CommandLineError("invalid option").located(word)
            }
            guard option.takesValue else {
                options.append(GivenOption(name: name, value: "", location: word))
                continue
            }
            guard let value = rest.popFirst() else {
                throw CommandLineError("requires an argument").located(word)
            }
            options.append(GivenOption(name: name, value: value, location: "\(word) \(value)"))
        }
        return (options, images)
    }
}
