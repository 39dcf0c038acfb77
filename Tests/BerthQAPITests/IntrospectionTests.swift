import BerthJSON
import BerthQAPI
import Testing

/// The reply to `query-qmp-schema`.
@Suite struct IntrospectionTests {
    private let schema: JSONValue
    private let walker: SchemaWalker

    init() throws {
        schema = try parseQMPText(QMPSchema.introspectionJSON)
        walker = try SchemaWalker(schema)
    }

    @Test(arguments: [
        "query-migrate/ret-type/blocked-reasons",
        "query-migrate/ret-type/*blocked-reasons/!string",
        "query-migrate/ret-type/socket-address/+inet/port/!string",
        "query-migrate/ret-type/ram/mbps/!number",
        "migrate-incoming/arg-type/exit-on-error",
        "migrate-incoming/arg-type/*exit-on-error/!boolean",
        "migrate/arg-type/channels/addr/+file/offset/!int",
        "migrate/arg-type/channels/addr/+socket/+vsock/cid",
        "migrate-set-capabilities/arg-type/capabilities/capability/^mapped-ram",
        "migrate-set-capabilities/arg-type/capabilities/capability/^fixed-ram/$deprecated",
        "migrate-set-capabilities/arg-type/capabilities/capability/^zero-blocks/$deprecated",
        "migrate-set-capabilities/arg-type/capabilities/capability/^x-colo/$unstable",
        "migrate-set-parameters/arg-type/tls-creds/!null",
        "migrate-set-parameters/arg-type/tls-creds/!string",
        "migrate-set-parameters/arg-type/*direct-io",
        "query-migrate-parameters/ret-type/tls-creds/!string",
        "object-add/arg-type/+memory-backend-file/mem-path",
        "object-add/arg-type/+memory-backend-memfd/*hugetlb",
        "query-migrationthreads/$deprecated",
        "yank/arg-type/instances/+migration",
        "set-action",
        "MIGRATION/arg-type/status/^pre-switchover",
        "qom-get/ret-type/!value",
        "calc-dirty-rate/arg-type/mode",
        "query-dirty-rate",
    ])
    func `libvirt's walker finds what is there`(path: String) throws {
        #expect(try walker.finds(path))
    }

    @Test(arguments: [
        "blockdev-add", "snapshot-save", "device_add/$json-cli-hotplug",
        "migrate/arg-type/blk", "migrate/arg-type/*addr", "migrate/$deprecated",
        "query-migrate/arg-type/status",
        "object-add/arg-type/*qom-type",
        "migrate-set-capabilities/arg-type/capabilities/capability/^compress",
        "migrate-set-capabilities/arg-type/capabilities/capability/^mapped-ram/$deprecated",
    ])
    func `and not what isn't`(path: String) throws {
        #expect(try !walker.finds(path))
    }

    @Test func `every name that is referred to is there`() throws {
        for name in walker.names {
            let entry = try walker.entry(name)
            for key in ["arg-type", "ret-type", "element-type"] {
                if case .string(let type)? = entry[key] { _ = try walker.entry(type) }
            }
            for key in ["members", "variants"] {
                for member in walker.objects(entry, key) {
                    if case .string(let type)? = member["type"] { _ = try walker.entry(type) }
                }
            }
        }
    }

    @Test func `names of types say nothing`() throws {
        let builtin = ["str", "bool", "int", "number", "null", "any"]
        for name in walker.names {
            let entry = try walker.entry(name)
            switch entry["meta-type"] {
            case .string("command")?, .string("event")?: continue
            case .string("builtin")?: #expect(builtin.contains(name))
            case .string("array")?:
                #expect(entry["element-type"] == .string(String(name.dropFirst().dropLast())))
            default: #expect(Int(name) != nil, "\(name)")
            }
        }
    }

    @Test func `commands and events are all described`() throws {
        for command in QMPSchema.commands {
            let entry = try walker.entry(command.name)
            #expect(entry["meta-type"] == .string("command"))
            #expect((entry["allow-oob"] == .bool(true)) == command.allowsOOB)
        }
        for event in ["STOP", "RESUME", "SHUTDOWN", "RESET", "POWERDOWN", "MIGRATION_PASS"] {
            #expect(try walker.entry(event)["meta-type"] == .string("event"))
        }
    }

    @Test func `a union has a variant for every value of its tag`() throws {
        let entry = try walker.entry("yank")
        guard case .string(let arguments)? = entry["arg-type"],
            case .string(let list)? = walker.objects(try walker.entry(arguments), "members")
                .first?["type"],
            case .string(let element)? = try walker.entry(list)["element-type"]
        else {
            Issue.record("yank has no argument")
            return
        }
        let union = try walker.entry(element)
        #expect(union["tag"] == .string("type"))
        #expect(
            walker.objects(union, "variants").map { $0["case"] } == [
                .string("block-node"), .string("chardev"), .string("migration"),
            ]
        )
        #expect(walker.objects(union, "variants").last?["type"] == .string("0"))
    }

    @Test func `an optional member has a default that is null`() throws {
        let reply = schema.serialized()
        #expect(reply.contains(#""default": null"#))
        #expect(!reply.contains(#""default": true"#))
        // Nothing may change on the way out: the text is sent as it is.
        #expect(reply == QMPSchema.introspectionJSON)
    }

    @Test func `the list of commands names each once`() {
        guard case .array(let list) = QMPSchema.commandList() else {
            Issue.record("not a list")
            return
        }
        #expect(list.count == QMPSchema.commands.count)
        #expect(list.contains(.object(["name": .string("migrate")])))
    }
}
