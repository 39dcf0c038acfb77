import BerthMonitor
import BerthSystem
import Testing

@testable import BerthClient

/// Whatever the other side sends, the console says what is wrong in a line, and ends.
@Suite(.timeLimit(.minutes(1))) struct HostilePeerTests {
    private func run(_ steps: [ScriptedPeer.Step], _ words: [String]) async -> ClientFixture.Shown {
        await onThread {
            ClientFixture.run({ $0.run(words: words, input: -1) }) { () throws(ClientError) in
                do {
                    return try ScriptedPeer.connection(steps)
                } catch {
                    throw .broken("\(error)")
                }
            }
        }
    }

    @Test(
        arguments: [
            [], [.send("\r\n")], [.send("{\"QMP\"")], [.send("{}\r\n")], [.send("{nonsense}\r\n")],
            [.send(String(repeating: "{\"a\":", count: 5000))],
            [.send(ScriptedPeer.greeting)], [.send(ScriptedPeer.greeting), .send("[1]")],
            [
                .send(ScriptedPeer.greeting), .line,
                .send(#"{"error": {"desc": 5}, "id": "berth-1"}"#),
            ],
            [.bytes([0xFF, 0xFE, 0x00])], [.send("QEMU"), .bytes([0x1B])],
        ] as [[ScriptedPeer.Step]]
    )
    func `a peer that is no monitor`(steps: [ScriptedPeer.Step]) async {
        let shown = await run(steps, ["query-status"])
        #expect(shown.status == 1)
        #expect(shown.text == "")
        #expect(shown.errors.count == 1)
        #expect(shown.errors.allSatisfy { !$0.contains("\n") && !$0.isEmpty })
    }

    @Test(
        arguments: [
            [.line], [.line, .send("{\"return\": ")], [.line, .send("inf")], [.line, .send("5 ")],
            [.line, .send("{\"return\": inf}\r\n")], [.line, .send("{\"id\": \"berth-1\"}")],
            [.line, .send("{\"event\": 5}{\"event\": [], \"data\": 5}")], [.line, .bytes([0])],
        ] as [[ScriptedPeer.Step]]
    )
    func `a monitor that goes away or mad in the middle`(steps: [ScriptedPeer.Step]) async {
        let shown = await run(ScriptedPeer.negotiation + steps, ["query-status"])
        #expect(shown.status == 1)
        #expect(shown.text == "")
        #expect(shown.errors.count == 1)
    }

    @Test func `what comes back cannot steer the terminal`() async {
        let error =
            #"{"error": {"class": "A\u001b[2J", "desc": "b\r\nc\u009b1m"}, "id": "berth-2"}"#
        let shown = await run(ScriptedPeer.negotiation + [.line, .send(error)], ["x"])
        #expect(shown.text == "Error: A [2J: b  c 1m\n")
        let human = #"{"return": "a\u001b]0;title\u0007\r\nb", "id": "berth-2"}"#
        let lines = await run(ScriptedPeer.negotiation + [.line, .send(human)], ["hmp x"])
        #expect(lines.text == "a]0;title\nb")
    }

    @Test func `the answer to somebody else's command is passed over`() async {
        let replies =
            #"{"return": {"old": 1}}{"return": 1, "id": "berth-1"}{"return": [], "id": "berth-2"}"#
        let shown = await run(ScriptedPeer.negotiation + [.line, .send(replies)], ["x"])
        #expect(shown.text == "[]\n")
        #expect(shown.status == 0)
    }

    @Test func `a pretty monitor that answers a byte at a time`() async {
        let reply = "{\r\n    \"return\": {\r\n    },\r\n    \"id\": \"berth-2\"\r\n}\r\n"
        let pieces = reply.utf8.map { ScriptedPeer.Step.bytes([$0]) }
        let shown = await run(ScriptedPeer.negotiation + [.line] + pieces, ["x"])
        #expect(shown.text == "{}\n")
    }

    @Test func `QEMU's echo isn't part of the answer`() async {
        let steps: [ScriptedPeer.Step] = [
            .send("QEMU 10.0.2 monitor - type 'help' for more information\r\n(qemu) "), .line,
            .send(ConsoleTextTests.echo("info status")), .send("VM status: running\r\n(qe"),
            .send("mu) "), .line,
        ]
        let shown = await run(steps, ["info", "status"])
        #expect(shown.text == "VM status: running\n")
        #expect(shown.status == 0)
    }

    @Test func `a human monitor that ends in the middle of an answer`() async {
        let steps: [ScriptedPeer.Step] = [.send("hello\r\n(qemu) "), .line, .send("half an ans")]
        let shown = await run(steps, ["info", "status"])
        #expect(shown.status == 1)
        #expect(shown.errors == ["'peer' has closed the connection"])
        let ended = await run(steps, ["quit"])
        #expect(ended.status == 0)
        #expect(ended.errors.isEmpty)
    }

    @Test func `a line that a monitor would cut is not sent`() async {
        let steps: [ScriptedPeer.Step] = [.send("hello\r\n(qemu) "), .line]
        let long = await run(steps, [String(repeating: "x", count: 4096)])
        #expect(long.status == 1)
        #expect(long.errors.count == 1)
        let keys = await run(steps, ["a\u{3}b"])
        #expect(keys.errors == ["cannot send the line: it has control characters"])
    }
}
