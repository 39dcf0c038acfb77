import BerthJSON
import BerthMonitor
import BerthQAPI
import Testing

@testable import BerthServer

@Suite struct HMPGuestTests {
    private let script = HMPScript()

    @Test(arguments: [
        ("running", true, "VM status: running\n"),
        ("paused", false, "VM status: paused\n"),
        ("postmigrate", false, "VM status: paused (postmigrate)\n"),
        ("inmigrate", false, "VM status: paused (inmigrate)\n"),
    ])
    func `shows the run state`(status: String, running: Bool, expected: String) async {
        script.reply("query-status", ["status": .string(status), "running": .bool(running)])
        #expect(await script.output("info status") == expected)
    }

    @Test func `shows version, name, UUID and KVM`() async {
        script.reply(
            "query-version",
            ["qemu": ["micro": 2, "minor": 0, "major": 10], "package": "berth-1"]
        )
        script.reply("query-name", ["name": "vm1"])
        script.reply("query-name", [:])
        script.reply("query-uuid", ["UUID": "00000000-0000-0000-0000-000000000000"])
        script.reply("query-kvm", ["enabled": true, "present": true])
        script.reply("query-kvm", ["enabled": false, "present": true])
        script.reply("query-kvm", ["enabled": false, "present": false])
        #expect(await script.output("info version") == "10.0.2berth-1\n")
        #expect(await script.output("info name") == "vm1\n")
        #expect(await script.output("info name") == "")
        #expect(await script.output("info uuid") == "00000000-0000-0000-0000-000000000000\n")
        #expect(await script.output("info kvm") == "kvm support: enabled\n")
        #expect(await script.output("info kvm") == "kvm support: disabled\n")
        #expect(await script.output("info kvm") == "kvm support: not compiled\n")
    }

    @Test(arguments: [
        ("stop", QMPCommand.stop), ("s", .stop), ("cont", .cont), ("c", .cont),
        ("system_reset", .systemReset), ("quit", .quit), ("q", .quit),
        ("migrate_cancel", .migrateCancel), ("migrate_pause", .migratePause),
        ("migrate_start_postcopy", .migrateStartPostcopy),
        ("migrate_recover tcp::4444", .migrateRecover(MigrateRecoverArguments(uri: "tcp::4444"))),
        (
            "migrate_incoming \"file:/a b\"",
            .migrateIncoming(MigrateIncomingArguments(uri: "file:/a b", exitOnError: false))
        ),
        (
            "migrate_continue pre-switchover",
            .migrateContinue(MigrateContinueArguments(state: .preSwitchover))
        ),
        ("migrate -d -r fd:x", .migrate(MigrateArguments(uri: "fd:x", resume: true))),
        ("getfd x", .getfd(GetfdArguments(fdname: "x"))),
        ("closefd x", .closefd(ClosefdArguments(fdname: "x"))),
        ("object_del m", .objectDel(ObjectDelArguments(id: "m"))),
    ])
    func `executes its QMP command and says nothing`(line: String, command: QMPCommand) async {
        #expect(await script.output(line) == "")
        #expect(script.commands == [command])
    }

    @Test func `shows an error and its hint`() async {
        script.fail("cont", QMPError("cannot continue", hint: "reset the guest"))
        #expect(await script.output("cont") == "Error: cannot continue\nreset the guest\n")
    }

    @Test func `ends the session after quit`() async {
        let shell = HMPShell(table: script.table, monitor: script.monitor)
        #expect(await shell.run("quit", on: HMPTextConsole()) == .quit)
    }

    @Test func `shows how much memory there is`() async {
        script.reply("query-memory-size-summary", ["base-memory": 67_108_864, "plugged-memory": 0])
        #expect(
            await script.output("info memory_size_summary")
                == "base memory: 67108864\nplugged memory: 0\n"
        )
    }

    @Test func `shows the memory backends`() async {
        var backend: JSONObject = [
            "id": "m0", "size": 16_777_216, "merge": true, "dump": true, "prealloc": false,
            "share": false, "reserve": true, "host-nodes": [], "policy": "default",
        ]
        var second = backend
        second["id"] = "m1"
        second["reserve"] = nil
        second["host-nodes"] = [0, 1, 2, 5]
        second["policy"] = "bind"
        script.reply("query-memdev", [.object(backend), .object(second)])
        backend["id"] = nil
        #expect(
            await script.output("info memdev") == """
                memory backend: m0
                  size:  16777216
                  merge: true
                  dump: true
                  prealloc: false
                  share: false
                  reserve: true
                  policy: default
                  host nodes:\(" ")
                memory backend: m1
                  size:  16777216
                  merge: true
                  dump: true
                  prealloc: false
                  share: false
                  policy: bind
                  host nodes: 0-2,5


                """
        )
    }

    @Test func `announces with the parameters of migrations`() async {
        script.reply("query-migrate-parameters", MigrationParameters(announceMax: 777).toJSON())
        #expect(await script.output("announce_self eth0,eth1 a") == "")
        #expect(
            script.commands.last
                == .announceSelf(
                    AnnounceSelfArguments(
                        initial: 50,
                        max: 777,
                        rounds: 5,
                        step: 100,
                        interfaces: ["eth0", "eth1"],
                        id: "a"
                    )
                )
        )
    }

    @Test func `lists every command that scripts for QEMU's migrations use`() async {
        let help = await script.output("help") + script.output("help info")
        for name in [
            "migrate [-d] [-r] uri", "migrate_incoming uri", "migrate_cancel ",
            "migrate_set_capability capability state", "migrate_set_parameter parameter value",
            "stop|s ", "cont|c ", "quit|q ", "help|? [cmd]", "info migrate ", "info status ",
            "info migrate_capabilities ", "info migrate_parameters ", "info memdev ",
            "info history ", "object_add [qom-type=]type,id=str[,prop=value][,...]",
        ] {
            #expect(help.contains(name + " -- "), "\(name)")
        }
    }
}
