import BerthMonitor
import BerthQAPI
import BerthServer
import BerthTransport
import Testing

/// What a command line that is right asks for.
@Suite struct CommandLineConfigurationTests {
    @Test(
        arguments: [
            ("-M none", "none", 0, []),
            ("-M none -m 64", "none", 64 << 20, ["ram"]),
            ("", "pc-i440fx-10.0", 128 << 20, ["pc.ram"]),
            ("-M pc -m 1.5G", "pc-i440fx-10.0", 1536 << 20, ["pc.ram"]),
            ("-machine q35, -m 64", "pc-q35-10.0", 64 << 20, ["pc.ram"]),
            ("-machine type=pc-q35-7.2 -m 65536k", "pc-q35-7.2", 64 << 20, ["pc.ram"]),
            ("-M microvm", "microvm", 128 << 20, ["microvm.ram"]),
            ("-M isapc -m 0", "isapc", 128 << 20, ["pc.ram"]),
            ("-m 33554433B", "pc-i440fx-10.0", 33_562_624, ["pc.ram"]),
            ("-m 32 -m 64", "pc-i440fx-10.0", 64 << 20, ["pc.ram"]),
            ("-m 64 -m slots=2,maxmem=1G", "pc-i440fx-10.0", 64 << 20, ["pc.ram"]),
            ("-M q35 -M smm=off", "pc-q35-10.0", 128 << 20, ["pc.ram"]),
            ("-M q35,memory.size=32M", "pc-q35-10.0", 32 << 20, ["pc.ram"]),
        ] as [(String, String, UInt64, [String])]
    )
    func `machine and memory are those of QEMU`(
        line: String,
        machine: String,
        byteCount: UInt64,
        blocks: [String]
    ) throws {
        let configuration = try CommandLineTrial(line).configuration()
        #expect(configuration.machine.name == machine)
        #expect(configuration.memoryByteCount == byteCount)
        #expect(configuration.ramBlocks.map(\.blockName) == blocks)
        #expect(configuration.memoryBackends.map(\.id) == blocks)
    }

    @Test func `RAM is the backend that the machine names`() throws {
        let configuration = try CommandLineTrial(
            "-M q35,memory-backend=m1 -object memory-backend-ram,id=m0,size=4M "
                + "-object memory-backend-memfd,id=m1,size=64M"
        ).configuration()
        #expect(configuration.memoryByteCount == 64 << 20)
        #expect(configuration.ramBlocks.map(\.blockName) == ["m1"])
        #expect(configuration.memoryBackends.map(\.id) == ["m0", "m1"])
    }

    @Test func `RAM is made of the backends of the nodes`() throws {
        let configuration = try CommandLineTrial(
            "-m 96 -object memory-backend-ram,id=b,size=32M "
                + "-object memory-backend-ram,id=a,size=64M "
                + "-numa node,nodeid=1,memdev=b -numa node,nodeid=0,memdev=a"
        ).configuration()
        #expect(configuration.ramBlocks.map(\.blockName) == ["a", "b"])
        #expect(configuration.memoryByteCount == 96 << 20)
    }

    @Test func `old machines name blocks of files by the object's path`() throws {
        let line = "memory-backend=m -object memory-backend-file,id=m,size=4M,mem-path=/m"
        let old = try CommandLineTrial("-M pc-i440fx-3.1,\(line)").configuration()
        #expect(old.ramBlocks.map(\.blockName) == ["/objects/m"])
        let new = try CommandLineTrial("-M pc-i440fx-4.0,\(line)").configuration()
        #expect(new.ramBlocks.map(\.blockName) == ["m"])
        let told = try CommandLineTrial(
            "-M pc-i440fx-3.1,\(line),x-use-canonical-path-for-ramblock-id=off"
        ).configuration()
        #expect(told.ramBlocks.map(\.blockName) == ["m"])
    }

    @Test func `the machine's own memory can be a file`() throws {
        let configuration = try CommandLineTrial("-m 64 -mem-path /dev/shm -mem-prealloc")
            .configuration()
        guard case .memoryBackendFile(let file)? = configuration.memoryBackends.first?.variant
        else {
            Issue.record("not a file")
            return
        }
        #expect(file.memPath == "/dev/shm")
        #expect(file.prealloc)
        #expect(file.size == 64 << 20)
    }

    @Test func `all of the guest's names are kept`() throws {
        let configuration = try CommandLineTrial([
            "-name", "guest=a,,b,process=p,debug-threads=on",
            "-uuid", "550E8400-e29b-41d4-a716-446655440000", "-S", "-smp", "4,maxcpus=8",
        ]).configuration()
        #expect(configuration.name == "a,b")
        #expect(configuration.processName == "p")
        #expect(configuration.uuid.map { "\($0)" } == "550e8400-e29b-41d4-a716-446655440000")
        #expect(configuration.startsPaused)
        #expect(configuration.cpuCount == 4)
    }

    @Test(
        arguments: [
            ("tcp:0:4444", .tcp(InetAddress(host: "0", port: "4444"))),
            ("unix:/s", .unix(UnixAddress(path: "/s"))),
            ("fd:20", .fd("20")),
            ("exec:cat", .exec(["/bin/sh", "-c", "cat"])),
            ("file:/f,offset=4096", .file(path: "/f", offset: 4096)),
            ("vsock:2:1024", .vsock(cid: "2", port: "1024")),
            (
                "main,addr.transport=file,addr.filename=/f,addr.offset=0x1000",
                .file(path: "/f", offset: 4096)
            ),
            (
                "channel-type=main,addr.transport=exec,addr.args.0=/bin/cat,addr.args.1=/f",
                .exec(["/bin/cat", "/f"])
            ),
            (
                #"{"channel-type":"main","addr":{"transport":"socket","type":"unix","path":"/s"}}"#,
                .unix(UnixAddress(path: "/s"))
            ),
        ] as [(String, BerthTransport.MigrationAddress)]
    )
    func `an incoming migration comes from each kind of address`(
        text: String,
        address: BerthTransport.MigrationAddress
    ) throws {
        let configuration = try CommandLineTrial(["-incoming", "defer", "-incoming", text])
            .configuration()
        #expect(configuration.incoming?.address == address)
        #expect(configuration.incoming?.location == "-incoming \(text)")
    }

    @Test func `deferred means that no address is known yet`() throws {
        let configuration = try CommandLineTrial("-incoming defer").configuration()
        #expect(configuration.incoming != nil)
        #expect(configuration.incoming?.address == nil)
        #expect(try CommandLineTrial("-S").configuration().incoming == nil)
    }

    @Test func `globals set capabilities, parameters and parts of the stream`() throws {
        let configuration = try CommandLineTrial(
            "-global migration.x-events=on -global migration.mapped-ram=on "
                + "-global migration.x-max-bandwidth=1G -global migration.x-downtime-limit=0x10 "
                + "-global driver=migration,property=send-switchover-start,value=off "
                + "-global migration.mode=cpr-reboot -global migration.tls-creds=t "
                + "-global ICH9-LPC.noreboot=off -global bogus.x=1"
        ).configuration()
        #expect(configuration.migration.capabilities.map(\.capability) == [.events, .mappedRAM])
        #expect(configuration.migration.capabilities.map(\.state) == [true, true])
        #expect(
            configuration.migration.parameters
                == MigrateSetParameters(
                    tlsCreds: .string("t"),
                    maxBandwidth: 1 << 30,
                    downtimeLimit: 16,
                    mode: .cprReboot
                )
        )
        #expect(!configuration.migration.stream.sendsSwitchoverStart)
        #expect(configuration.migration.stream.sendsConfiguration)
    }

    @Test func `older machine types have older defaults`() throws {
        let new = try CommandLineTrial("-M pc-q35-10.0").configuration().migration
        #expect(new == MigrationGlobals())
        let last = try CommandLineTrial("-M pc-q35-9.2").configuration().migration
        #expect(!last.stream.sendsSwitchoverStart)
        #expect(last.parameters.zeroPageDetection == nil)
        let old = try CommandLineTrial("-M pc-q35-8.2").configuration().migration
        #expect(old.parameters.zeroPageDetection == .legacy)
        let told = try CommandLineTrial(
            "-M pc-q35-8.2 -global migration.zero-page-detection=none "
                + "-global migration.send-switchover-start=on"
        ).configuration().migration
        #expect(told.parameters.zeroPageDetection == ZeroPageDetection.none)
        #expect(told.stream.sendsSwitchoverStart)
    }

    @Test func `monitors come in order, each on its device`() throws {
        let configuration = try CommandLineTrial(
            "-qmp unix:/a,server=on,wait=off -monitor stdio -qmp-pretty tcp::5601,nodelay "
                + "-chardev socket,id=c,fd=12,server=on -mon c,mode=control,id=m"
        ).configuration()
        let unix = CharacterDevice.Socket(address: .unix(path: "/a"), isServer: true)
        let tcp = CharacterDevice.Socket(
            address: .tcp(host: "", port: "5601"),
            isServer: false,
            disablesDelay: true
        )
        let passed = CharacterDevice.Socket(
            address: .descriptor(12),
            isServer: true,
            waitsForClient: true
        )
        func device(_ label: String, _ backend: CharacterDevice.Backend) -> CharacterDevice {
            CharacterDevice(label: label, backend: backend)
        }
        #expect(
            configuration.monitors == [
                MonitorConfiguration(
                    device: device("compat_monitor0", .socket(unix)),
                    mode: .control,
                    id: "compat_monitor0"
                ),
                MonitorConfiguration(
                    device: device("compat_monitor1", .standardStreams),
                    mode: .readline,
                    id: "compat_monitor1"
                ),
                MonitorConfiguration(
                    device: device("compat_monitor2", .socket(tcp)),
                    mode: .control,
                    isPretty: true,
                    id: "compat_monitor2"
                ),
                MonitorConfiguration(
                    device: device("c", .socket(passed)),
                    mode: .control,
                    id: "m"
                ),
            ]
        )
        #expect(
            configuration.devices.map(\.label) == [
                "compat_monitor0", "compat_monitor1", "compat_monitor2", "c",
            ]
        )
        #expect(configuration.devices.last?.location == "-chardev socket,id=c,fd=12,server=on")
    }

    @Test(arguments: [
        ("-nographic", 1), ("-nographic -nodefaults", 0), ("-nographic -monitor none", 0),
        ("-nographic -qmp null", 1), ("-serial mon:stdio", 1), ("-serial stdio", 0), ("", 0),
        ("-monitor none", 0),
    ])
    func `the terminal is a console where QEMU has one`(line: String, count: Int) throws {
        let configuration = try CommandLineTrial(line).configuration()
        #expect(configuration.monitors.count == count)
    }

    @Test func `the process is told what to do`() throws {
        let configuration = try CommandLineTrial(
            "-daemonize -pidfile /p -add-fd fd=20,set=3,opaque=a,,b -no-shutdown -no-reboot "
                + "-action panic=none -only-migratable -msg timestamp=on /exists"
        ).configuration()
        #expect(configuration.daemonizes)
        #expect(configuration.pidFile == "/p")
        #expect(configuration.addedDescriptors.map(\.descriptor) == [20])
        #expect(configuration.addedDescriptors.map(\.set) == [3])
        #expect(configuration.addedDescriptors.map(\.opaque) == ["a,b"])
        #expect(configuration.actions.shutdown == .pause)
        #expect(configuration.actions.reboot == .shutdown)
        #expect(configuration.actions.panic == PanicAction.none)
        #expect(configuration.isOnlyMigratable)
        #expect(configuration.messageFormat.hasTimestamp)
    }

    @Test func `the program's name says for which processors the guest is`() throws {
        let arm = try CommandLineTrial("-M virt").configuration(program: "qemu-system-aarch64")
        #expect(arm.machine.name == "virt-10.0")
        #expect(arm.ramBlocks.map(\.blockName) == ["mach-virt.ram"])
        #expect(arm.machine.architecture == "aarch64")
        #expect(CommandLineTrial("-M virt").complaints()?.count == 2)
        let free = try CommandLineTrial("-M virt").configuration(program: "berth")
        #expect(free.machine == arm.machine)
    }

    @Test(arguments: [
        ("-version", "QEMU emulator version 10.0.2 (berth-"),
        ("-M bogus -version", "QEMU emulator version 10.0.2 (berth-"),
        ("-help", "QEMU emulator version"),
        ("-M help", "Supported machines are:\nmicrovm              microvm (i386)\n"),
        ("-machine q35,help", "pc-q35-10.0-machine options:\n"),
        ("-accel help", "Accelerators supported in QEMU binary:\ntcg\nkvm\n"),
        ("-object help", "List of user creatable objects:\n"),
        ("-chardev help", "Available chardev backend types:"),
        ("-cpu help", "Available CPUs:"),
        ("-device help", "An endpoint has no devices."),
    ])
    func `a question is answered`(line: String, beginning: String) throws {
        let result = CommandLineTrial(line).read()
        guard case .answer(let text) = result.outcome else {
            Issue.record("no answer: \(result.messages)")
            return
        }
        #expect(text.hasPrefix(beginning))
        #expect(text.hasSuffix("\n"))
        #expect(result.messages.isEmpty)
    }

    @Test(arguments: [
        ("berth", "\nusage: berth run [options]\n"),
        ("qemu-system-x86_64", "\nusage: qemu-system-x86_64 [options]\n"),
    ])
    func `the help says what to type`(program: String, line: String) {
        guard case .answer(let text) = CommandLineTrial("-help").read(program: program).outcome
        else {
            Issue.record("no answer")
            return
        }
        #expect(text.contains(line))
    }

    @Test func `a question comes too late after a mistake`() {
        #expect(CommandLineTrial("-name foo,bogus=1 -version").complaints() != nil)
        #expect(CommandLineTrial("-cpu help -name foo,bogus=1").complaints() != nil)
    }

    @Test func `the list of machines has the names that programs look for`() {
        let machines = MachineCatalog.machines(for: "x86_64")
        #expect(machines.first { $0.alias == "q35" }?.name == "pc-q35-10.0")
        #expect(machines.first { $0.alias == "pc" }?.name == "pc-i440fx-10.0")
        #expect(machines.contains { $0.name == "pc-q35-4.0.1" })
        #expect(machines.filter { $0.info.isDefault == true }.map(\.name) == ["pc-i440fx-10.0"])
        #expect(machines.first { $0.name == "none" }?.info.acpi == false)
        #expect(machines.first { $0.name == "pc-q35-8.1" }?.info.cpuMax == 1024)
        #expect(machines.first { $0.name == "pc-q35-5.0" }?.info.numaMemSupported == true)
        #expect(machines.first { $0.name == "pc-q35-5.1" }?.info.numaMemSupported == false)
        #expect(Set(machines.map(\.name)).count == machines.count)
    }
}
