import BerthMonitor
import BerthQAPI
import Testing

@Suite(.timeLimit(.minutes(5))) struct QMPSessionTests {
    private static let greeting =
        #"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "test"}, "#
        + #""capabilities": ["oob"]}}"#

    private static func generic(_ text: String) -> String {
        #"{"error": {"class": "GenericError", "desc": "\#(text)"}}"#
    }

    private static func notFound(_ text: String) -> String {
        #"{"error": {"class": "CommandNotFound", "desc": "\#(text)"}}"#
    }

    @Test func `greets every client and forgets what the last one negotiated`() async throws {
        let fixture = try MonitorFixture.listening()
        for _ in 0..<3 {
            let client = try fixture.connect()
            #expect(try await client.line() == Self.greeting)
            let early = try await client.command(#"{"execute":"query-name"}"#)
            let text = "Expecting capabilities negotiation with 'qmp_capabilities'"
            #expect(early == Self.notFound(text))
            #expect(
                try await client.command(#"{"execute":"qmp_capabilities"}"#) == #"{"return": {}}"#
            )
            // Left in the middle of a request: the next client must not inherit the rest.
            try await client.send(#"{"execute": "quer"#)
        }
        await fixture.server.close()
    }

    @Test(arguments: [
        (#"{"enable":["bogus"]}"#, "Parameter 'null' does not accept value 'bogus'"),
        (#"{"enable":"oob"}"#, "Invalid parameter type for 'enable', expected: array"),
        (#"{"foo":1}"#, "Parameter 'foo' is unexpected"),
    ])
    func `refuses a wrong negotiation and lets the client try again`(
        arguments: String,
        text: String
    ) async throws {
        let fixture = try MonitorFixture.listening()
        let client = try fixture.connect()
        _ = try await client.line()
        let request = #"{"execute":"qmp_capabilities","arguments":\#(arguments)}"#
        #expect(try await client.command(request) == Self.generic(text))
        let oob = try await client.command(#"{"exec-oob":"query-yank"}"#)
        #expect(oob == Self.generic("QMP input member 'exec-oob' is unexpected"))
        let again = #"{"execute":"qmp_capabilities","arguments":{"enable":["oob","oob"]},"id":[1]}"#
        #expect(try await client.command(again) == #"{"return": {}, "id": [1]}"#)
        await fixture.server.close()
    }

    @Test func `checks the arguments of a second negotiation before it refuses it`() async throws {
        let fixture = try MonitorFixture.listening()
        let client = try fixture.connect()
        try await client.negotiate()
        let wrong = try await client.command(#"{"execute":"qmp_capabilities","arguments":{"x":1}}"#)
        #expect(wrong == Self.generic("Parameter 'x' is unexpected"))
        let text = "Capabilities negotiation is already complete, command ignored"
        #expect(try await client.command(#"{"execute":"qmp_capabilities"}"#) == Self.notFound(text))
        await fixture.server.close()
    }

    @Test func `sends an event before the reply of the command that caused it`() async throws {
        let fixture = try MonitorFixture.listening()
        let client = try fixture.connect()
        try await client.negotiate()
        for (command, event) in [("stop", "STOP"), ("cont", "RESUME")] {
            try await client.send(#"{"execute":"\#(command)","id":1}"#)
            let line = try #require(try await client.line())
            let pattern =
                /\{"timestamp": \{"seconds": \d{10}, "microseconds": \d{1,6}\}, "event": "(\w+)"\}/
            #expect(line.wholeMatch(of: pattern)?.1 == Substring(event))
            #expect(try await client.line() == #"{"return": {}, "id": 1}"#)
        }
        await fixture.server.close()
    }

    @Test func `sends events to all who have negotiated and to nobody else`() async throws {
        let fixture = try MonitorFixture.listening(3)
        let clients = try (0..<3).map { try fixture.connect("\($0)") }
        try await clients[0].negotiate()
        try await clients[1].negotiate(#"{"enable":["oob"]}"#)
        _ = try await clients[2].line()
        for status in [MigrationStatus.setup, .active, .completed] {
            fixture.server.events.emit(.migration(status: status))
        }
        for client in clients[..<2] {
            for status in ["setup", "active", "completed"] {
                let line = try #require(try await client.line())
                let end = #", "event": "MIGRATION", "data": {"status": "\#(status)"}}"#
                #expect(line.hasSuffix(end))
            }
        }
        // What was emitted before the negotiation never comes.
        let reply = try await clients[2].command(#"{"execute":"qmp_capabilities"}"#)
        #expect(reply == #"{"return": {}}"#)
        fixture.server.events.emit(.stop)
        #expect(try await clients[2].line()?.hasSuffix(#""event": "STOP"}"#) == true)
        await fixture.server.close()
    }

    @Test func `answers quit after its event and nothing after that`() async throws {
        let fixture = try MonitorFixture.listening(2)
        let client = try fixture.connect("0")
        let other = try fixture.connect("1")
        try await client.negotiate()
        try await other.negotiate()
        try await client.send(#"{"execute":"quit"}{"execute":"query-name"}"#)
        let event = try await client.line()
        #expect(event?.contains(#""event": "SHUTDOWN", "data": {"guest": false, "#) == true)
        await fixture.server.close()
        #expect(try await client.line() == #"{"return": {}}"#)
        #expect(try await client.line() == nil)
        #expect(try await other.line()?.contains("SHUTDOWN") == true)
        #expect(try await other.line() == nil)
        #expect(fixture.handler.commands == ["mon0 quit"])
    }

    @Test func `answers about itself without asking the endpoint`() async throws {
        let fixture = try MonitorFixture.listening()
        let client = try fixture.connect()
        try await client.negotiate()
        let commands = try #require(try await client.command(#"{"execute":"query-commands"}"#))
        #expect(commands.hasPrefix(#"{"return": [{"name": "qmp_capabilities"}, "#))
        #expect(commands.contains(#"{"name": "migrate"}"#))
        let schema = try #require(
            try await client.command(#"{"execute":"query-qmp-schema","id":{"a":null}}"#)
        )
        #expect(schema.hasPrefix(#"{"return": [{"#))
        #expect(schema.hasSuffix(#"], "id": {"a": null}}"#))
        #expect(fixture.handler.commands.isEmpty)
        await fixture.server.close()
    }

    @Test func `breaks lines when pretty, also in the schema`() async throws {
        let fixture = try MonitorFixture.listening(isPretty: true)
        let client = try fixture.connect()
        let greeting = try await client.bytes(through: "\n}\r\n")
        #expect(greeting.hasPrefix("{\r\n    \"QMP\": {\r\n        \"version\": {\r\n"))
        try await client.send(#"{"execute":"qmp_capabilities"}"#)
        let reply = try await client.bytes(through: "\n}\r\n")
        #expect(reply == "{\r\n    \"return\": {\r\n    }\r\n}\r\n")
        try await client.send(#"{"execute":"query-qmp-schema"}"#)
        let schema = try await client.bytes(through: "\n}\r\n")
        #expect(schema.hasPrefix("{\r\n    \"return\": [\r\n        {\r\n            \"name\": "))
        await fixture.server.close()
    }
}
