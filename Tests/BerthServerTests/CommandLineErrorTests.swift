import BerthServer
import Testing

/// What a wrong command line is answered with: the lines of QEMU 10.0.2 on standard error, and
/// exit status 1.
@Suite struct CommandLineErrorTests {
    /// `PROG: ` stands before the first line; where the text begins with `@`, the option stands for
    /// that.
    private static let rows: [(String, [String])] = [
        // General rules
        ("-bogus", ["-bogus: invalid option"]),
        ("--bogus", ["--bogus: invalid option"]),
        ("-name=foo", ["-name=foo: invalid option"]),
        ("-nam foo", ["-nam: invalid option"]),
        ("-no-hpet", ["-no-hpet: invalid option"]),
        ("-no-acpi", ["-no-acpi: invalid option"]),
        ("-runas x", ["-runas: invalid option"]),
        ("-chroot x", ["-chroot: invalid option"]),
        ("-display", ["-display: requires an argument"]),
        ("-h -foo", ["-foo: invalid option"]),
        ("foo", ["foo: Could not open 'foo': No such file or directory"]),
        // Machine
        (
            "-M bogus",
            [
                "unsupported machine type: \"bogus\"",
                "Use -machine help to list supported machines",
            ]
        ),
        ("-M q35,foo=1", ["Property 'pc-q35-10.0-machine.foo' not found"]),
        ("-M none,acpi=off", ["Property 'none-machine.acpi' not found"]),
        ("-machine q35,usb=maybe", ["Parameter 'usb' expects 'on' or 'off'"]),
        ("-machine q35,usb", ["@: Expected '=' after parameter 'usb'"]),
        ("-machine none,,x", ["@: Invalid parameter ''"]),
        ("-machine none,,", ["@: Invalid parameter ''"]),
        ("-machine none,memory-backend=nope", ["Memory backend 'nope' not found"]),
        ("-accel bogus", ["@: invalid accelerator bogus"]),
        ("-M none,accel=bogus", ["invalid accelerator bogus"]),
        (
            "-accel kvm -machine none,accel=kvm",
            ["The -accel and \"-machine accel=\" options are incompatible"]
        ),
        ("-accel kvm,foo=1", ["@: Property 'kvm-accel.foo' not found"]),
        ("-smp 2,foo=3", ["Parameter 'smp.foo' is unexpected"]),
        ("-smp abc", ["Parameter 'smp.cpus' expects integer"]),
        (
            "-smp 0",
            ["Invalid CPU topology: CPU topology parameters must be greater than zero"]
        ),
        (
            "-M pc -smp 300",
            [
                "Invalid SMP CPUs 300. The max CPUs supported by machine 'pc-i440fx-10.0' is 255"
            ]
        ),
        // Memory
        ("-m -5", ["@: Value '-5' is out of range for parameter 'size'"]),
        ("-m 16E", ["@: Value '16E' is out of range for parameter 'size'"]),
        ("-m 0x40", ["Parameter 'memory.size' expects size"]),
        ("-m 64,slots=2", ["slots specified but no max-size"]),
        (
            "-m 64,maxmem=128",
            [
                "invalid value of maxmem: maximum memory size (0x80) must be at least the initial "
                    + "memory size (0x4000000)"
            ]
        ),
        ("-m 64,bogus=1", ["@: Invalid parameter 'bogus'"]),
        ("-m 64,slots=abc,maxmem=1G", ["@: Parameter 'slots' expects a number"]),
        // Objects
        ("-object id=m", ["@: Parameter 'qom-type' is missing"]),
        ("-object memory-backend-ram", ["@: Parameter 'id' is missing"]),
        ("-object memory-backend-ram,id=m", ["@: Parameter 'size' is missing"]),
        (
            "-object memory-backend-ram,id=m,size=0",
            ["property 'size' of memory-backend-ram doesn't take value '0'"]
        ),
        (
            "-object memory-backend-ram,id=m,size=abc",
            ["@: Parameter 'size' expects a size value"]
        ),
        (
            "-object memory-backend-ram,id=m,size=32M,share=1",
            ["@: Parameter 'share' expects 'on' or 'off'"]
        ),
        (
            "-object memory-backend-file,id=m,size=32M",
            ["@: Parameter 'mem-path' is missing"]
        ),
        ("-object bogus,id=m", ["@: Parameter 'qom-type' does not accept value 'bogus'"]),
        (
            "-object memory-backend-ram,id=1m,size=32M",
            [
                "@: Parameter 'id' expects an identifier",
                "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.",
            ]
        ),
        (
            #"-object {"qom-type":"memory-backend-ram","id":"m","size":"32M"}"#,
            ["@: Parameter 'size' expects uint64"]
        ),
        (
            #"-object {"qom-type":"memory-backend-ram","id":"m","size":4096,"share":"on"}"#,
            ["@: Invalid parameter type for 'share', expected: boolean"]
        ),
        (
            #"-object {"qom-type":"memory-backend-ram""#,
            ["@: JSON parse error, premature EOI"]
        ),
        (
            #"-object {"qom-type":"memory-backend-ram","id":"m","size":4096}x"#,
            ["@: Expecting at most one JSON value"]
        ),
        // NUMA
        ("-M none -numa node", ["-numa node: NUMA is not supported by this machine-type"]),
        ("-m 64 -numa node,memdev=m0", ["-numa node,memdev=m0: memdev=m0 is ambiguous"]),
        (
            "-m 64 -object memory-backend-ram,id=m0,size=32M -numa node,memdev=m0",
            ["total memory for NUMA nodes (0x2000000) should equal RAM size (0x4000000)"]
        ),
        (
            "-object memory-backend-ram,id=m0,size=64M -machine memory-backend=m0 "
                + "-numa node,memdev=m0",
            ["'-machine memory-backend' and '-numa memdev' properties are mutually exclusive"]
        ),
        (
            "-m 64 -object memory-backend-ram,id=m0,size=32M -machine memory-backend=m0",
            ["Machine memory size does not match the size of the memory backend"]
        ),
        (
            "-mem-path /m -object memory-backend-ram,id=m0,size=32M -machine memory-backend=m0",
            ["'-mem-path' can't be used together with'-machine memory-backend'"]
        ),
        // Identity and process
        ("-name foo,bogus=1", ["@: Invalid parameter 'bogus'"]),
        ("-uuid 1234", ["@: failed to parse UUID string: wrong format"]),
        ("-action reboot=bogus", ["@: Parameter 'reboot' does not accept value 'bogus'"]),
        (
            "-watchdog-action bogus",
            ["@: Parameter 'watchdog' does not accept value 'bogus'"]
        ),
        ("-sandbox on,spawn=bogus", ["@: invalid argument for spawn"]),
        ("-add-fd fd=20", ["@: set option is required and must be non-negative"]),
        ("-add-fd set=1", ["@: fd option is required and must be non-negative"]),
        ("-add-fd fd=1,set=1", ["@: fd cannot be a standard I/O stream"]),
        ("-add-fd fd=21,set=1", ["@: fd is not valid or already in use"]),
        ("-add-fd fd=abc,set=1", ["@: Parameter 'fd' expects a number"]),
        ("-add-fd fd=20,set=1,foo=1", ["@: Invalid parameter 'foo'"]),
        // Migration
        ("-incoming tcp", ["@: Parameter 'channel-type' does not accept value 'tcp'"]),
        ("-incoming main", ["@: Parameter 'addr' is missing"]),
        ("-incoming fd:abc", ["@: Invalid file descriptor number 'abc'"]),
        (
            "-incoming main,addr.transport=file,addr.filename=/f,addr.offset=x",
            ["@: Parameter 'addr.offset' expects integer"]
        ),
        (
            "-incoming defer -loadvm x",
            ["'incoming' and 'loadvm' options are mutually exclusive"]
        ),
        (
            "-global migration.bogus=on",
            [
                "can't apply global migration.bogus=on: Property 'migration.bogus' not found"
            ]
        ),
        (
            "-global migration.max-bandwidth=1",
            [
                "can't apply global migration.max-bandwidth=1: Property 'migration.max-bandwidth' "
                    + "not found"
            ]
        ),
        (
            "-global migration.x-events=maybe",
            [
                "can't apply global migration.x-events=maybe: Parameter 'x-events' expects 'on' or "
                    + "'off'"
            ]
        ),
        (
            "-global migration.multifd-channels=0",
            ["Parameter 'multifd_channels' expects a value between 1 and 255"]
        ),
        (
            "-global migration.multifd-channels=256",
            [
                "can't apply global migration.multifd-channels=256: Parameter 'multifd-channels' "
                    + "expects uint8_t"
            ]
        ),
        (
            "-global driver=migration",
            ["@: options 'driver', 'property', and 'value' are required"]
        ),
        // Character devices and monitors
        ("-chardev null", ["@: chardev: no id specified"]),
        ("-chardev id=c", ["@: chardev: \"c\" missing backend"]),
        ("-chardev bogus,id=c", ["@: 'bogus' is not a valid char driver name"]),
        (
            "-chardev null,id=c -chardev null,id=c",
            ["-chardev null,id=c: Duplicate ID 'c' for chardev"]
        ),
        (
            "-chardev socket,id=c,path=/s,wait=off",
            ["@: 'wait' option is incompatible with socket in client connect mode"]
        ),
        (
            "-chardev socket,id=c,path=/s,server=on,reconnect=1",
            ["@: 'reconnect' option is incompatible with socket in server listen mode"]
        ),
        ("-chardev socket,id=c,host=h", ["@: chardev: socket: no port given"]),
        ("-chardev socket,id=c,fd=abc", ["@: Unable to parse FD number abc"]),
        ("-mon d", ["@: chardev \"d\" not found"]),
        ("-mon mode=control", ["@: Parameter 'chardev' is missing"]),
        (
            "-chardev null,id=c -mon c,mode=bogus",
            ["-mon c,mode=bogus: Parameter 'mode' does not accept value 'bogus'"]
        ),
        (
            "-chardev null,id=c -mon c,pretty=on",
            ["-mon c,pretty=on: 'pretty' is not compatible with HMP monitors"]
        ),
        ("-chardev null,id=c -mon c -mon c", ["-mon c: chardev 'c' is already in use"]),
        (
            "-qmp bogus",
            ["@: 'bogus' is not a valid char driver", "PROG: @: parse error: bogus"]
        ),
        ("-qmp tcp:127.0.0.1", ["@: parse error: tcp:127.0.0.1"]),
        (
            "-monitor stdio -qmp stdio",
            ["-qmp stdio: cannot use stdio by multiple character devices"]
        ),
        (
            "-daemonize -monitor stdio",
            ["-monitor stdio: cannot use stdio with -daemonize"]
        ),
        ("-daemonize -nographic", ["-nographic cannot be used with -daemonize"]),
        (
            "-serial bogus",
            [
                "@: 'bogus' is not a valid char driver",
                "PROG: @: could not connect serial device to character backend 'bogus'",
            ]
        ),
    ]

    @Test(arguments: rows) func `is one line that QEMU would print`(
        line: String,
        lines: [String]
    ) throws {
        let program = "qemu-system-x86_64"
        let expected = lines.enumerated().map { number, text in
            var text = text
            if number == 0 { text = "\(program): " + text }
            if text.hasPrefix("PROG: ") { text = program + text.dropFirst("PROG".count) }
            return text.replacingFirst(": @: ", with: ": \(line): ")
        }
        #expect(CommandLineTrial(line).complaints() == expected)
    }

    @Test(arguments: ["-m abc", "-m 64Q", "-m 64.5", "-m size=64,size=abc", "-m 64,maxmem=x"])
    func `a size that isn't one has two lines of advice`(line: String) throws {
        let key = line.contains("maxmem") ? "maxmem" : "size"
        #expect(
            CommandLineTrial(line).complaints() == [
                "qemu-system-x86_64: \(line): Parameter '\(key)' expects a non-negative number "
                    + "below 2^64",
                "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-",
                "and exabytes, respectively.",
            ]
        )
    }

    @Test func `a path that is too long for a socket is named`() throws {
        let path = String(repeating: "a", count: 108)
        let complaints = CommandLineTrial("-qmp unix:\(path),server=on").complaints()
        #expect(complaints?.first?.hasSuffix("UNIX socket path '\(path)' is too long") == true)
        #expect(complaints?.last == "Path must be less than 108 bytes")
        #expect(CommandLineTrial("-qmp unix:\(path.dropLast()),server=on").complaints() == nil)
    }

    @Test(arguments: [
        "-incoming bogus:x", "-incoming tcp:1.2.3.4", "-incoming unix:", "-qtest unix:/s",
        "-readconfig /f", "-preconfig", "-run-with chroot=/x", "-loadvm x",
        "-object memory-backend-shm,id=m,size=32M",
        "-incoming cpr,addr.transport=socket,addr.type=unix,addr.path=/s",
        "-chardev pty,id=c -mon c",
    ])
    func `what Berth can't do fails and says so`(line: String) throws {
        let complaints = try #require(CommandLineTrial(line).complaints())
        #expect(complaints.first?.hasPrefix("qemu-system-x86_64: ") == true)
    }

    @Test func `an accelerator that is missing is made up for by the next`() throws {
        let result = CommandLineTrial("-accel bogus -accel kvm").read()
        #expect(
            result.messages == """
                qemu-system-x86_64: -accel bogus: invalid accelerator bogus
                qemu-system-x86_64: falling back to KVM

                """
        )
        guard case .start = result.outcome else {
            Issue.record("refused")
            return
        }
    }

    @Test func `a flag without a value is warned of`() throws {
        let result = CommandLineTrial("-name foo,debug-threads").read()
        #expect(
            result.messages == """
                qemu-system-x86_64: -name foo,debug-threads: warning: short-form boolean option \
                'debug-threads' deprecated
                Please use debug-threads=on instead

                """
        )
        let short = CommandLineTrial("-qmp unix:/s,server,nowait").read()
        #expect(short.messages.isEmpty)
    }

    @Test func `time and name come first once they are asked for`() throws {
        let late = CommandLineTrial("-msg timestamp=on -uuid 1").complaints()
        let line = try #require(late?.first)
        #expect(line.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z qemu-.*format/) != nil)
        let early = CommandLineTrial("-msg timestamp=on -bogus").complaints()
        #expect(early == ["qemu-system-x86_64: -bogus: invalid option"])
        let named = CommandLineTrial("-msg guest-name=on -name g1 -uuid 1").complaints()
        #expect(
            named == ["g1 qemu-system-x86_64: -uuid 1: failed to parse UUID string: wrong format"]
        )
        var format = MessageFormat(program: "p")
        format.hasTimestamp = true
        #expect(
            format.line("t", now: (1_795_243_762, 209_934)) == "2026-11-21T06:49:22.209934Z p: t\n"
        )
    }
}

extension String {
    /// The text with the first occurrence of `old` replaced.
    fileprivate func replacingFirst(_ old: String, with new: String) -> String {
        let parts = split(separator: old, maxSplits: 1, omittingEmptySubsequences: false)
        return parts.count == 2 ? parts[0] + new + parts[1] : self
    }
}
