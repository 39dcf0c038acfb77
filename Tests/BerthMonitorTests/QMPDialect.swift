import BerthMonitor
import BerthTestSupport
import Testing

/// A reply in a form that doesn't depend on the order of members in the one row where QEMU's hash
/// table reorders an object of the client.
private func normalised(_ reply: String) -> String {
    reply.replacing(#"{"b": 1, "a": [{}]}"#, with: #"{"a": [{}], "b": 1}"#)
}

private let lastRequest = Array(#" {"execute":"query-name","id":"last"}"#.utf8)

@Suite(.timeLimit(.minutes(5))) struct QMPDialect {
    @Test func `replies to every input as QEMU does`() async throws {
        #expect(DialectRow.all.count == 137)
        let fixture = try MonitorFixture.listening()
        for row in DialectRow.all {
            let client = try fixture.connect()
            try await client.negotiate()
            try await client.send(row.input + lastRequest)
            let replies = try await client.lines(before: #""id": "last""#)
            #expect(replies.map(normalised) == row.replies, "row \(row)")
        }
        await fixture.server.close()
    }

    @Test func `replies the same to an input that comes byte by byte`() async throws {
        let fixture = try MonitorFixture.listening()
        for row in DialectRow.all {
            let client = try fixture.connect()
            try await client.negotiate()
            for byte in row.input + lastRequest { try await client.send([byte]) }
            let replies = try await client.lines(before: #""id": "last""#)
            #expect(replies.map(normalised) == row.replies, "row \(row)")
        }
        await fixture.server.close()
    }

    /// Inputs that are too long or too structured for the table; numbers as in it.
    @Test func `replies to further inputs as QEMU does`() async throws {
        let fixture = try MonitorFixture.listening()
        for (number, input, expected) in Self.further {
            let client = try fixture.connect()
            try await client.negotiate()
            try await client.send(Array(input.utf8) + lastRequest)
            let replies = try await client.lines(before: #""id": "last""#)
            #expect(replies == expected, "input \(number)")
        }
        await fixture.server.close()
    }

    private static let further: [(number: Int, input: String, replies: [String])] = [
        (138, nest(1024), [notAnObject]),
        (139, nest(1025), [limit("nesting depth")] + expectingValue(1025)),
        (140, #"{"id":"# + nest(1023) + "," + ex + "}", [#"{"return": {}, "id": \#(nest(1023))}"#]),
        (142, "{\(ex),\"id\":1,\"\\u0069d\":2}", [parse("duplicate key")]),
        (143, "{\(ex),\"\":1}", [generic("QMP input member '' is unexpected")]),
        (
            144, #"{"execute":"query-name\u0000","id":1}"#,
            [
                #"{"id": 1, "error": {"class": "CommandNotFound", "desc": "#
                    + #""The command query-name\u0000 has not been found"}}"#
            ]
        ),
        (145, "{\(ex),\"id\":-}", [parse("stray '-}'")]),
        (145, "{\(ex),\"id\":1e}", [parse("stray '1e}'")]),
        (145, "{\(ex),\"id\":1e+}", [parse("stray '1e+}'")]),
        (146, "{\(ex),\"id\":1.5.5}", [parse("stray '.'")] + expectingValue(1)),
        (
            147, #"{"execute":"query-name","id":"\uDBFF\uDFFF"}"#,
            [parse(#"\\uDBFF\\uDFFF is not a valid Unicode character"#)]
        ),
        (148, "1 2\n", [notAnObject, notAnObject]),
        (148, "null true\n", [notAnObject, notAnObject]),
        (148, #""x" "y""#, [notAnObject, notAnObject]),
        (149, "nulltrue\n", [parse("invalid keyword 'nulltrue'")]),
        (150, "{\(ex)\n\n}", [#"{"return": {}}"#]),
    ]

    @Test func `gives up a message of too many tokens and goes on with its rest`() async throws {
        let fixture = try MonitorFixture.listening()
        let client = try fixture.connect()
        try await client.negotiate()
        // 2 097 172 tokens, 20 more than allowed: the first of these is dropped with the message.
        let input = "[1" + String(repeating: ",1", count: 1_048_585) + "\n"
        try await client.send(Array(input.utf8) + lastRequest)
        let replies = try await client.lines(before: #""id": "last""#)
        #expect(replies.first == limit("token count"))
        #expect(replies.dropFirst().count == 19)
        #expect(replies.filter { $0 == notAnObject }.count == 10)
        await fixture.server.close()
    }

    @Test func `answers a request only after its last byte`() async throws {
        let fixture = try MonitorFixture.listening()
        let client = try fixture.connect()
        try await client.negotiate()
        for piece in ["{\"exe", "cute\":\"que", "ry-name\",\"i", "d\":\"x"] {
            try await client.send(piece)
        }
        try await MonitorFixture.until { client.isSilent() }
        #expect(try await client.command("y\"}") == #"{"return": {}, "id": "xy"}"#)
        await fixture.server.close()
    }

    @Test func `answers all of 200 requests that a half-closed client has sent`() async throws {
        let fixture = try MonitorFixture.listening()
        let client = try fixture.connect()
        try await client.negotiate()
        try await client.send((0..<200).map { "{\(ex),\"id\":\($0)}" }.joined())
        client.shutDownWriting()
        for number in 0..<200 {
            #expect(try await client.line() == #"{"return": {}, "id": \#(number)}"#)
        }
        #expect(try await client.line() == nil)
        await fixture.server.close()
    }
}

private let ex = #""execute":"query-name""#
private let notAnObject = generic("QMP input must be a JSON object")

private func nest(_ depth: Int) -> String {
    String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
}

private func generic(_ text: String) -> String {
    #"{"error": {"class": "GenericError", "desc": "\#(text)"}}"#
}

private func parse(_ text: String) -> String { generic("JSON parse error, " + text) }
private func limit(_ what: String) -> String { generic("JSON \(what) limit exceeded") }

private func expectingValue(_ count: Int) -> [String] {
    Array(repeating: parse("expecting value"), count: count)
}
