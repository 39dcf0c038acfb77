import BerthJSON
import BerthQAPI
import Testing

/// What checked arguments become.
@Suite struct CommandDecodingTests {
    @Test func `absent arguments have the schema's defaults`() throws {
        let migrate = try CommandCall("migrate", "{'uri':'tcp:h:1'}").decode()
        #expect(migrate == .migrate(MigrateArguments(uri: "tcp:h:1")))
        let incoming = try CommandCall("migrate-incoming", "{'uri':'defer'}").decode()
        guard case .migrateIncoming(let arguments) = incoming else {
            Issue.record("decoded as \(incoming.name)")
            return
        }
        #expect(arguments.exitOnError)
        #expect(arguments.channels == nil)
    }

    @Test func `channels become addresses of each kind`() throws {
        let command = try CommandCall(
            "migrate",
            """
            {'channels':[
                {'channel-type':'main','addr':
                    {'transport':'socket','type':'inet','host':'h','port':'0','to':10,'ipv4':true}},
                {'channel-type':'cpr','addr':{'transport':'socket','type':'unix','path':'/s'}},
                {'channel-type':'main','addr':{'transport':'socket','type':'vsock','cid':'2',
                    'port':'3'}},
                {'channel-type':'main','addr':{'transport':'socket','type':'fd','str':'f'}},
                {'channel-type':'main','addr':{'transport':'exec','args':['/bin/cat']}},
                {'channel-type':'main','addr':{'transport':'rdma','host':'h','port':'1'}},
                {'channel-type':'main','addr':{'transport':'file','filename':'f','offset':4096}}]}
            """
        ).decode()
        let addresses: [(MigrationChannelType, MigrationAddress)] = [
            (
                .main,
                .socket(.inet(InetSocketAddress(host: "h", port: "0", to: 10, ipv4: true)))
            ),
            (.cpr, .socket(.unix(UnixSocketAddress(path: "/s")))),
            (.main, .socket(.vsock(VsockSocketAddress(cid: "2", port: "3")))),
            (.main, .socket(.fd(FdSocketAddress(str: "f")))),
            (.main, .exec(MigrationExecCommand(args: ["/bin/cat"]))),
            (.main, .rdma(InetSocketAddress(host: "h", port: "1"))),
            (.main, .file(FileMigrationArgs(filename: "f", offset: 4096))),
        ]
        let channels = addresses.map { MigrationChannel(channelType: $0.0, addr: $0.1) }
        #expect(command == .migrate(MigrateArguments(channels: channels)))
    }

    @Test(arguments: [
        ("fixed-ram", MigrationCapability.mappedRAM),
        ("mapped-ram", .mappedRAM),
        ("track-writes-ram", .backgroundSnapshot),
    ])
    func `a capability's former name is taken for it and never given back`(
        name: String,
        capability: MigrationCapability
    ) throws {
        let command = try CommandCall(
            "migrate-set-capabilities",
            "{'capabilities':[{'capability':'\(name)','state':true}]}"
        ).decode()
        let status = MigrationCapabilityStatus(capability: capability, state: true)
        #expect(
            command
                == .migrateSetCapabilities(MigrateSetCapabilitiesArguments(capabilities: [status]))
        )
        #expect(status.toObject()["capability"] == .string(capability.rawValue))
    }

    @Test func `capabilities are listed in QEMU's order without other names`() {
        #expect(
            MigrationCapability.allCases.map(\.rawValue) == [
                "xbzrle", "rdma-pin-all", "auto-converge", "zero-blocks", "events", "postcopy-ram",
                "x-colo", "release-ram", "return-path", "pause-before-switchover", "multifd",
                "dirty-bitmaps", "postcopy-blocktime", "late-block-activate", "x-ignore-shared",
                "validate-uuid", "background-snapshot", "zero-copy-send", "postcopy-preempt",
                "switchover-ack", "dirty-limit", "mapped-ram",
            ]
        )
    }

    @Test func `a memory backend keeps all that was said of it`() throws {
        let command = try CommandCall(
            "object-add",
            """
            {'qom-type':'memory-backend-file','id':'m0','size':4096,'mem-path':'/m','share':true,
             'host-nodes':[0,3],'policy':'bind','rom':'on','offset':8192}
            """
        ).decode()
        guard case .objectAdd(let options) = command,
            case .memoryBackendFile(let file) = options.variant
        else {
            Issue.record("decoded as \(command)")
            return
        }
        #expect(options.id == "m0")
        #expect(file.memPath == "/m")
        #expect(file.offset == 8192)
        #expect(file.rom == .on)
        #expect(file.base.size == 4096)
        #expect(file.base.share == true)
        #expect(file.base.hostNodes == [0, 3])
        #expect(file.base.policy == .bind)
        #expect(!file.base.prealloc)
    }

    @Test func `a command knows its own name`() throws {
        for info in QMPSchema.commands {
            let command: QMPCommand
            do {
                command = try QMPCommand.decode(name: info.name, arguments: [:])
            } catch {
                #expect(error.desc.hasSuffix("is missing"), "\(info.name)")
                continue
            }
            #expect(command.name == info.name)
        }
    }

    @Test func `exactly the commands that QEMU runs out of band do so here`() {
        let names = QMPSchema.commands.filter(\.allowsOOB).map(\.name)
        #expect(Set(names) == ["migrate-recover", "migrate-pause", "yank", "query-yank"])
    }

    @Test func `before the machine exists only harmless commands are allowed`() throws {
        let migrate = try #require(QMPSchema.command(named: "migrate"))
        let version = try #require(QMPSchema.command(named: "query-version"))
        #expect(!migrate.allowsPreconfig)
        #expect(version.allowsPreconfig)
        #expect(QMPSchema.command(named: "nope") == nil)
    }

    @Test func `a command is refused in run states that the schema forbids`() throws {
        let migrate = try #require(QMPSchema.command(named: "migrate"))
        let incoming = try #require(QMPSchema.command(named: "migrate-incoming"))
        let query = try #require(QMPSchema.command(named: "query-migrate"))
        for state in RunState.allCases {
            try query.checkRunState(state)
            if state == .inmigrate {
                try incoming.checkRunState(state)
            } else {
                #expect(throws: QMPError.self) { try incoming.checkRunState(state) }
            }
            if state == .inmigrate || state == .postmigrate {
                let error = #expect(throws: QMPError.self) { try migrate.checkRunState(state) }
                #expect(error?.desc.contains("'\(state.rawValue)'") == true)
                #expect(error?.hint != nil)
            } else {
                try migrate.checkRunState(state)
            }
        }
    }
}
