import BerthJSON
import BerthQAPI
import Testing

/// What a wrong argument is answered with: QEMU 10.0.2's texts, one row each as observed there.
@Suite struct ArgumentValidationTests {
    private static let rows: [(CommandCall, String)] = [
        (CommandCall("migrate-set-capabilities", "{}"), "Parameter 'capabilities' is missing"),
        (
            CommandCall(
                "migrate-set-capabilities",
                "{'capabilities':[{'capability':'bogus','state':true}]}"
            ),
            "Parameter 'capability' does not accept value 'bogus'"
        ),
        (
            CommandCall(
                "migrate-set-capabilities",
                "{'capabilities':[{'capability':5,'state':true}]}"
            ),
            "Invalid parameter type for 'capabilities[0].capability', expected: string"
        ),
        (
            CommandCall(
                "migrate-set-capabilities",
                "{'capabilities':[{'capability':'events','state':1}]}"
            ),
            "Invalid parameter type for 'capabilities[0].state', expected: boolean"
        ),
        (
            CommandCall(
                "migrate-set-capabilities",
                "{'capabilities':[{'capability':'events','state':true},{'capability':'xbzrle'}]}"
            ),
            "Parameter 'capabilities[1].state' is missing"
        ),
        (
            CommandCall("migrate-set-capabilities", "{'capabilities':null}"),
            "Invalid parameter type for 'capabilities', expected: array"
        ),
        (
            CommandCall("migrate-set-capabilities", "{'capabilities':[5]}"),
            "Invalid parameter type for 'capabilities[0]', expected: object"
        ),
        (
            CommandCall("migrate-set-parameters", "{'multifd-channels':256}"),
            "Parameter 'multifd-channels' expects uint8_t"
        ),
        (
            CommandCall("migrate-set-parameters", "{'multifd-channels':-1}"),
            "Parameter 'multifd-channels' expects uint8_t"
        ),
        (
            CommandCall("migrate-set-parameters", "{'multifd-channels':'2'}"),
            "Parameter 'multifd-channels' expects uint64"
        ),
        (
            CommandCall("migrate-set-parameters", "{'multifd-channels':2.0}"),
            "Parameter 'multifd-channels' expects uint64"
        ),
        (
            CommandCall("migrate-set-parameters", "{'multifd-channels':2e0}"),
            "Parameter 'multifd-channels' expects uint64"
        ),
        (
            CommandCall("migrate-set-parameters", "{'x-checkpoint-delay':4294967296}"),
            "Parameter 'x-checkpoint-delay' expects uint32_t"
        ),
        // QEMU takes this as 2^64 - 1.
        (
            CommandCall("migrate-set-parameters", "{'max-bandwidth':-1}"),
            "Parameter 'max-bandwidth' expects uint64"
        ),
        (
            CommandCall("migrate-set-parameters", "{'max-bandwidth':18446744073709551616}"),
            "Parameter 'max-bandwidth' expects uint64"
        ),
        (
            CommandCall("migrate-set-parameters", "{'max-bandwidth':1e9}"),
            "Parameter 'max-bandwidth' expects uint64"
        ),
        (
            CommandCall("migrate-set-parameters", "{'max-bandwidth':'1G'}"),
            "Parameter 'max-bandwidth' expects uint64"
        ),
        (
            CommandCall("migrate-set-parameters", "{'max-bandwidth':true}"),
            "Parameter 'max-bandwidth' expects uint64"
        ),
        (
            CommandCall("migrate-set-parameters", "{'max-bandwidth':null}"),
            "Parameter 'max-bandwidth' expects uint64"
        ),
        (
            CommandCall("migrate-set-parameters", "{'tls-creds':5}"),
            "Invalid parameter type for 'tls-creds', expected: StrOrNull"
        ),
        (
            CommandCall("migrate-set-parameters", "{'max_bandwidth':1}"),
            "Parameter 'max_bandwidth' is unexpected"
        ),
        (
            CommandCall("migrate-set-parameters", "{'block-bitmap-mapping':null}"),
            "Invalid parameter type for 'block-bitmap-mapping', expected: array"
        ),
        (
            CommandCall(
                "migrate",
                "{'channels':[{'channel-type':'main','addr':{'transport':'socket'}}]}"
            ),
            "Parameter 'channels[0].addr.type' is missing"
        ),
        (
            CommandCall(
                "migrate",
                "{'channels':[{'channel-type':'main','addr':{'transport':'bogus'}}]}"
            ),
            "Parameter 'transport' does not accept value 'bogus'"
        ),
        (
            CommandCall(
                "migrate",
                """
                {'channels':[{'channel-type':'main','addr':
                    {'transport':'socket','type':'inet','host':'h','port':5}}]}
                """
            ),
            "Invalid parameter type for 'channels[0].addr.port', expected: string"
        ),
        (
            CommandCall(
                "migrate",
                """
                {'channels':[{'channel-type':'main','addr':
                    {'transport':'file','filename':'f','offset':'0x1000'}}]}
                """
            ),
            "Parameter 'channels[0].addr.offset' expects uint64"
        ),
        (
            CommandCall(
                "migrate",
                """
                {'channels':[{'channel-type':'main','addr':
                    {'transport':'file','filename':'f','offset':0,'path':'f'}}]}
                """
            ),
            "Parameter 'channels[0].addr.path' is unexpected"
        ),
        (
            CommandCall(
                "migrate",
                "{'channels':[{'channel-type':'main','addr':{'transport':'exec','args':[5]}}]}"
            ),
            "Invalid parameter type for 'channels[0].addr.args[0]', expected: string"
        ),
        (CommandCall("migrate", "{'blk':true}"), "Parameter 'blk' is unexpected"),
        (CommandCall("stop", "{'x':1}"), "Parameter 'x' is unexpected"),
        (CommandCall("query-name", "{'a':1}"), "Parameter 'a' is unexpected"),
        (
            CommandCall("human-monitor-command", "{}"),
            "Parameter 'command-line' is missing"
        ),
        (
            CommandCall("human-monitor-command", "{'command-line':5}"),
            "Invalid parameter type for 'command-line', expected: string"
        ),
        (
            CommandCall("human-monitor-command", "{'command-line':null}"),
            "Invalid parameter type for 'command-line', expected: string"
        ),
        (
            CommandCall("human-monitor-command", "{'command-line':'','cpu-index':'0'}"),
            "Invalid parameter type for 'cpu-index', expected: integer"
        ),
        (
            CommandCall("qmp_capabilities", "{'enable':['bogus']}"),
            "Parameter 'null' does not accept value 'bogus'"
        ),
        (
            CommandCall("qmp_capabilities", "{'enable':'oob'}"),
            "Invalid parameter type for 'enable', expected: array"
        ),
        (CommandCall("qmp_capabilities", "{'foo':1}"), "Parameter 'foo' is unexpected"),
        (CommandCall("object-add", "{}"), "Parameter 'qom-type' is missing"),
        (
            CommandCall("object-add", "{'qom-type':'bogus','id':'m'}"),
            "Parameter 'qom-type' does not accept value 'bogus'"
        ),
        (
            CommandCall("object-add", "{'qom-type':'memory-backend-ram'}"),
            "Parameter 'id' is missing"
        ),
        (
            CommandCall("object-add", "{'qom-type':'memory-backend-ram','id':'m'}"),
            "Parameter 'size' is missing"
        ),
        (
            CommandCall(
                "object-add",
                "{'qom-type':'memory-backend-ram','id':'m','size':'32M'}"
            ),
            "Parameter 'size' expects uint64"
        ),
        (
            CommandCall(
                "object-add",
                "{'qom-type':'memory-backend-ram','id':'m','size':4096,'share':'on'}"
            ),
            "Invalid parameter type for 'share', expected: boolean"
        ),
        (
            CommandCall(
                "object-add",
                "{'qom-type':'memory-backend-file','id':'m','size':4096}"
            ),
            "Parameter 'mem-path' is missing"
        ),
        (
            CommandCall(
                "object-add",
                "{'qom-type':'memory-backend-ram','id':'m','size':4096,'mem-path':'/m'}"
            ),
            "Parameter 'mem-path' is unexpected"
        ),
        (
            CommandCall(
                "object-add",
                "{'qom-type':'memory-backend-ram','id':'m','size':1,'host-nodes':[65536]}"
            ),
            "Parameter 'null' expects uint16_t"
        ),
    ]

    @Test(arguments: rows) func `a wrong argument is named in QEMU's words`(
        call: CommandCall,
        text: String
    ) throws {
        #expect(try call.failure() == text)
    }

    @Test func `members are judged in the schema's order, unknown ones last`() throws {
        let call = CommandCall(
            "migrate",
            "{'bogus':1,'resume':5,'channels':5,'uri':5}"
        )
        #expect(
            try call.failure() == "Invalid parameter type for 'uri', expected: string"
        )
        let known = CommandCall("migrate", "{'bogus':1,'resume':5,'uri':'exec:true'}")
        #expect(
            try known.failure() == "Invalid parameter type for 'resume', expected: boolean"
        )
    }

    @Test(arguments: [
        CommandCall("migrate-set-parameters", "{}"),
        CommandCall("migrate-set-parameters", "{'max-bandwidth':18446744073709551615}"),
        // Out of the command's range, but not of the type's: the command itself says so.
        CommandCall("migrate-set-parameters", "{'multifd-channels':0}"),
        CommandCall("migrate-set-parameters", "{'tls-creds':null,'tls-hostname':''}"),
        CommandCall("migrate-set-capabilities", "{'capabilities':[]}"),
        CommandCall("migrate", "{}"),
        CommandCall("qmp_capabilities", "{'enable':['oob','oob']}"),
        CommandCall("announce-self", "{'initial':-1,'max':1,'rounds':1,'step':1}"),
    ])
    func `what the types allow is accepted`(call: CommandCall) throws {
        #expect(try call.failure() == nil)
    }

    @Test(arguments: ["nope", "Query-Name", "query_name", "", " query-name", "query-name\0"])
    func `an unknown command has a class of its own`(name: String) throws {
        let error = #expect(throws: QMPError.self) {
            try QMPCommand.decode(name: name, arguments: [:])
        }
        #expect(error?.errorClass == .commandNotFound)
        #expect(error?.desc == "The command \(name) has not been found")
    }
}
