import BerthMonitor
import Testing

@Suite(.timeLimit(.minutes(5))) struct QMPQueueTests {
    private static let blocked = #"{"execute":"query-uuid","id":"blocked"}"#

    @Test func `takes one request at a time without out-of-band execution`() async throws {
        let fixture = try MonitorFixture.listening()
        let client = try fixture.connect()
        try await client.negotiate()
        try await client.send(
            Self.blocked + #"{"execute":"query-name","id":2}x {"execute":"stop"}"#
        )
        try await MonitorFixture.until { fixture.handler.barrier.waiterCount == 1 }
        #expect(client.isSilent())
        #expect(fixture.handler.commands == ["mon0 query-uuid"])
        fixture.handler.barrier.open()
        #expect(try await client.line() == #"{"return": {}, "id": "blocked"}"#)
        #expect(try await client.line() == #"{"return": {}, "id": 2}"#)
        #expect(try await client.line()?.contains("invalid keyword 'x'") == true)
        #expect(try await client.line()?.contains("STOP") == true)
        #expect(try await client.line() == #"{"return": {}}"#)
        await fixture.server.close()
    }

    @Test func `lets out-of-band requests overtake up to seven that wait`() async throws {
        let fixture = try MonitorFixture.listening()
        let client = try fixture.connect()
        try await client.negotiate(#"{"enable":["oob"]}"#)
        try await client.send(Self.blocked)
        try await MonitorFixture.until { fixture.handler.barrier.waiterCount == 1 }
        for number in 1...7 { try await client.send(#"{"execute":"query-name","id":\#(number)}"#) }
        try await client.send(#"{"exec-oob":"query-yank","id":"fast"}"#)
        #expect(try await client.line() == #"{"return": {"oob": true}, "id": "fast"}"#)
        try await client.send(
            #"{"execute":"query-name","id":8}{"exec-oob":"migrate-pause","id":"late"}"#
        )
        // The eighth fills the queue; what follows stays with the client.
        try await client.send(String(repeating: " ", count: 100))
        #expect(client.isSilent())
        fixture.handler.barrier.open()
        var ids: [String] = []
        for _ in 0..<10 { ids.append(try await client.line() ?? "end") }
        #expect(ids.contains(#"{"return": {"oob": true}, "id": "late"}"#))
        let inBand = ids.filter { !$0.contains("late") }
        #expect(inBand.first == #"{"return": {}, "id": "blocked"}"#)
        #expect(inBand.dropFirst() == (1...8).map { #"{"return": {}, "id": \#($0)}"# }[...])
        await fixture.server.close()
    }

    @Test(arguments: [
        (
            #"{"exec-oob":"query-name","id":1}"#,
            #"{"id": 1, "error": {"class": "GenericError", "#
                + #""desc": "The command query-name does not support OOB"}}"#
        ),
        (
            #"{"exec-oob":"nope"}"#,
            #"{"error": {"class": "CommandNotFound", "desc": "The command nope has not been found"}}"#
        ),
        (
            #"{"exec-oob":5}"#,
            #"{"error": {"class": "GenericError", "#
                + #""desc": "QMP input member 'exec-oob' must be a string"}}"#
        ),
        (
            #"{"exec-oob":"query-yank","execute":"query-name"}"#,
            #"{"error": {"class": "GenericError", "#
                + #""desc": "QMP input member 'execute' clashes with 'exec-oob'"}}"#
        ),
        (#"{"exec-oob":"migrate-pause"}"#, #"{"return": {"oob": true}}"#),
        (#"{"execute":"migrate-pause"}"#, #"{"return": {}}"#),
        (
            #"{"exec-oob":"migrate-pause","arguments":{"a":1}}"#,
            #"{"error": {"class": "GenericError", "desc": "Parameter 'a' is unexpected"}}"#
        ),
    ])
    func `checks out-of-band requests`(request: String, reply: String) async throws {
        let fixture = try MonitorFixture.listening()
        let client = try fixture.connect()
        try await client.negotiate(#"{"enable":["oob"]}"#)
        #expect(try await client.command(request) == reply)
        await fixture.server.close()
    }

    @Test func `drops what waits when an out-of-band client sends no more`() async throws {
        let fixture = try MonitorFixture.listening()
        let client = try fixture.connect()
        try await client.negotiate(#"{"enable":["oob"]}"#)
        try await client.send(Self.blocked + #"{"execute":"query-name"}"#)
        try await MonitorFixture.until { fixture.handler.barrier.waiterCount == 1 }
        client.shutDownWriting()
        #expect(try await client.line() == nil)
        fixture.handler.barrier.open()
        let next = try fixture.connect()
        try await next.negotiate()
        #expect(fixture.handler.commands == ["mon0 query-uuid"])
        await fixture.server.close()
    }

    @Test func `drops the reply of a command whose client has left`() async throws {
        let fixture = try MonitorFixture.listening()
        var client: TestClient? = try fixture.connect()
        try await client?.negotiate()
        try await client?.send(Self.blocked)
        try await MonitorFixture.until { fixture.handler.barrier.waiterCount == 1 }
        client = nil
        let next = try fixture.connect()
        #expect(try await next.line()?.hasPrefix(#"{"QMP""#) == true)
        // In-band like all others, so it waits for the old client's command.
        try await next.send(#"{"execute":"qmp_capabilities","id":"new"}"#)
        fixture.handler.barrier.open()
        #expect(try await next.line() == #"{"return": {}, "id": "new"}"#)
        #expect(try await next.command(#"{"execute":"query-name"}"#) == #"{"return": {}}"#)
        await fixture.server.close()
    }

    @Test func `runs the commands of all monitors one at a time, in turns`() async throws {
        let fixture = try MonitorFixture.listening(2)
        let clients = [try fixture.connect("0"), try fixture.connect("1")]
        for client in clients { try await client.negotiate(#"{"enable":["oob"]}"#) }
        try await clients[0].send(Self.blocked)
        try await MonitorFixture.until { fixture.handler.barrier.waiterCount == 1 }
        for client in clients {
            for number in 0..<3 {
                try await client.send(#"{"execute":"query-name","id":\#(number)}"#)
            }
            // Out of band, so its reply says that all before it are in the queue.
            let reply = try await client.command(#"{"exec-oob":"query-yank"}"#)
            #expect(reply == #"{"return": {"oob": true}}"#)
        }
        fixture.handler.barrier.open()
        for number in 0..<3 {
            #expect(try await clients[1].line() == #"{"return": {}, "id": \#(number)}"#)
        }
        _ = try await clients[0].lines(before: #""id": 2"#)
        let names = fixture.handler.commands.filter { $0.hasSuffix(" query-name") }
        #expect(names == ["mon1 query-name", "mon0 query-name"] * 3)
        await fixture.server.close()
    }

    @Test func `keeps what a client doesn't read`() async throws {
        let fixture = try MonitorFixture.listening()
        let client = try fixture.connect()
        try await client.negotiate()
        for _ in 0..<40 { try await client.send(#"{"execute":"query-qmp-schema","id":"x"}"#) }
        try await client.send(#"{"execute":"stop"}"#)
        // Far more than a socket holds: it is the monitor that keeps it.
        try await MonitorFixture.until { fixture.handler.commands == ["mon0 stop"] }
        for _ in 0..<40 { #expect(try await client.line()?.hasSuffix(#""id": "x"}"#) == true) }
        #expect(try await client.line()?.contains("STOP") == true)
        await fixture.server.close()
    }

    @Test func `performs other work in turn with commands and none after closing`() async throws {
        let fixture = try MonitorFixture.listening()
        let client = try fixture.connect()
        try await client.negotiate()
        try await client.send(Self.blocked)
        try await MonitorFixture.until { fixture.handler.barrier.waiterCount == 1 }
        async let work = fixture.server.dispatcher.perform { fixture.handler.commands.count }
        fixture.handler.barrier.open()
        #expect(await work == 1)
        await fixture.server.close()
        #expect(await fixture.server.dispatcher.perform { 1 } == nil)
    }
}

private func * <Element>(list: [Element], count: Int) -> [Element] {
    Array(repeatElement(list, count: count).joined())
}
