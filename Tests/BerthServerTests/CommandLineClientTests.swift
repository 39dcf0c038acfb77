import BerthMonitor
import BerthQAPI
import BerthServer
import Testing

/// The command lines that libvirt and QEMU's own test suite pass.
@Suite struct CommandLineClientTests {
    @Test(arguments: ["kvm:tcg", "tcg"]) func `libvirt's probe`(accelerators: String) throws {
        let configuration = try CommandLineTrial(
            "-S -no-user-config -nodefaults -nographic -machine none,accel=\(accelerators) "
                + "-qmp unix:/d/qmp.monitor,server=on,wait=off -pidfile /d/qmp.pid -daemonize"
        ).configuration()
        #expect(configuration.machine.name == "none")
        #expect(configuration.memoryByteCount == 0)
        #expect(configuration.monitors.map(\.mode) == [.control])
        #expect(configuration.daemonizes)
        #expect(configuration.pidFile == "/d/qmp.pid")
        #expect(configuration.startsPaused)
    }

    private static let libvirtStart = [
        "-name", "guest=N,debug-threads=on", "-S",
        "-object",
        #"{"qom-type":"secret","id":"masterKey0","format":"raw","file":"/d/master-key.aes"}"#,
        "-machine",
        "pc-q35-10.0,usb=off,dump-guest-core=off,memory-backend=pc.ram,acpi=off",
        "-accel", "kvm", "-cpu", "qemu64-v1", "-m", "size=65536k",
        "-object", #"{"qom-type":"memory-backend-ram","id":"pc.ram","size":67108864}"#,
        "-overcommit", "mem-lock=off", "-smp", "1,sockets=1,cores=1,threads=1",
        "-uuid", "550e8400-e29b-41d4-a716-446655440000", "-display", "none", "-no-user-config",
        "-nodefaults", "-chardev", "socket,id=charmonitor,fd=12,server=on,wait=off",
        "-mon", "chardev=charmonitor,id=monitor,mode=control", "-rtc", "base=utc",
        "-no-shutdown", "-boot", "strict=on",
        "-audiodev", #"{"id":"audio1","driver":"none"}"#,
        "-global", "ICH9-LPC.noreboot=off", "-watchdog-action", "reset",
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-msg", "timestamp=on",
    ]

    @Test func `libvirt's start of a guest`() throws {
        let result = CommandLineTrial(Self.libvirtStart).read()
        #expect(result.messages.isEmpty)
        let configuration = try CommandLineTrial(Self.libvirtStart).configuration()
        #expect(configuration.name == "N")
        #expect(configuration.machine.name == "pc-q35-10.0")
        #expect(configuration.memoryByteCount == 64 << 20)
        #expect(configuration.ramBlocks.map(\.blockName) == ["pc.ram"])
        #expect(configuration.memoryBackends.count == 1)
        #expect(configuration.otherObjects.map(\.id) == ["masterKey0"])
        #expect(configuration.monitors.map(\.id) == ["monitor"])
        #expect(configuration.actions.shutdown == .pause)
        #expect(configuration.messageFormat.hasTimestamp)
        #expect(configuration.incoming == nil)
    }

    @Test func `libvirt's restore, with a serial port`() throws {
        let configuration = try CommandLineTrial(
            Self.libvirtStart + [
                "-chardev", "pty,id=charserial0", "-device",
                #"{"driver":"isa-serial","chardev":"charserial0","id":"serial0","index":0}"#,
                "-incoming", "defer", "-add-fd", "set=0,fd=20,opaque=serial0-source",
            ]
        ).configuration()
        #expect(configuration.incoming != nil)
        #expect(configuration.devices.last?.kind == .other(type: "pty"))
        #expect(configuration.addedDescriptors.map(\.opaque) == ["serial0-source"])
    }

    private static let test =
        "-chardev socket,path=/d/s2,id=char0 -mon chardev=char0,mode=control -display none "
        + "-audio none -accel kvm -accel tcg -machine pc-q35-10.0, -name source,debug-threads=on "
        + "-m 150M -serial file:/d/src_serial "
        + "-drive if=none,id=d0,file=/d/bootsect,format=raw "
        + "-device ide-hd,drive=d0,secs=1,cyls=1,heads=1 -accel qtest"

    @Test func `the source of QEMU's migration tests`() throws {
        let configuration = try CommandLineTrial(Self.test).configuration()
        #expect(configuration.name == "source")
        #expect(configuration.memoryByteCount == 150 << 20)
        #expect(configuration.monitors.map(\.mode) == [.control])
        #expect(configuration.devices.map(\.label) == ["char0", "serial0"])
    }

    @Test(arguments: [
        ("-incoming tcp:127.0.0.1:0", ["pc.ram"]),
        ("-incoming defer -accel kvm,dirty-ring-size=4096", ["pc.ram"]),
        (
            "-object memory-backend-file,id=mem0,size=150M,mem-path=/dev/shm/X,share=on "
                + "-numa node,memdev=mem0",
            ["mem0"]
        ),
        (
            "-machine aux-ram-share=on -nodefaults -uuid 550e8400-e29b-41d4-a716-446655440000",
            [
                "pc.ram"
            ]
        ),
    ])
    func `and its variants`(options: String, blocks: [String]) throws {
        let configuration = try CommandLineTrial(Self.test + " " + options).configuration()
        #expect(configuration.ramBlocks.map(\.blockName) == blocks)
        #expect(configuration.machine.name == "pc-q35-10.0")
    }

    @Test func `memory that a CPR test hands over`() throws {
        let configuration = try CommandLineTrial(
            "-object memory-backend-memfd,id=pc.ram,size=150M -machine memory-backend=pc.ram "
                + "-machine aux-ram-share=on -nodefaults"
        ).configuration()
        #expect(configuration.ramBlocks.map(\.blockName) == ["pc.ram"])
        #expect(configuration.memoryBackends.count == 1)
    }

    @Test func `the run that only asks what there is`() throws {
        let configuration = try CommandLineTrial("-machine none -accel qtest").configuration()
        #expect(configuration.machine.name == "none")
        #expect(configuration.ramBlocks.isEmpty)
    }
}
