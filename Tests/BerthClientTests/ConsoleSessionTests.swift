import BerthJSON
import BerthMonitor
import BerthQAPI
import BerthSystem
import Glibc
import Synchronization
import Testing

@testable import BerthClient

/// The console and a monitor server on a real socket.
@Suite(.timeLimit(.minutes(1))) struct ConsoleSessionTests {
    @Test func `runs a command and shows the reply over several lines`() async throws {
        let fixture = try ClientFixture(.control)
        let shown = await fixture.session { $0.run(words: ["query-status"], input: -1) }
        #expect(shown.status == 0)
        #expect(shown.text == "{\n    \"status\": \"running\",\n    \"running\": true\n}\n")
        await fixture.close()
    }

    @Test func `shows an error in a line and fails`() async throws {
        let fixture = try ClientFixture(.control)
        let shown = await fixture.session { $0.run(words: ["query-name", "a=1"], input: -1) }
        #expect(shown.status == 1)
        #expect(shown.text == "Error: GenericError: Parameter 'a' is unexpected\n")
        await fixture.close()
    }

    @Test func `sends JSON as it is, lines of the human monitor, and a shell's words`() async throws
    {
        let fixture = try ClientFixture(.control)
        let json = await fixture.session {
            $0.run(words: [#"{"execute": "stop", "id": 5}"#], input: -1)
        }
        #expect(json.text == "{}\n")
        let human = await fixture.session { $0.run(words: ["hmp info status"], input: -1) }
        #expect(human.text == "<info status>\n")
        let words = await fixture.session {
            $0.run(words: ["getfd", "fdname=two words"], input: -1)
        }
        #expect(words.text.hasPrefix("Error: GenericError: "))
        #expect(fixture.handler.names == ["stop", "human-monitor-command", "getfd"])
        await fixture.close()
    }

    @Test func `goes through all lines of a file and shows events between them`() async throws {
        let fixture = try ClientFixture(.control)
        let shown = await fixture.session(lines: "stop\n\nbogus\r\nquery-status\nexit\nstop\n")
        #expect(shown.status == 1)
        #expect(shown.text.contains("event: STOP\n"))
        #expect(
            shown.text.contains("Error: CommandNotFound: The command bogus has not been found\n")
        )
        #expect(shown.text.hasSuffix("    \"running\": true\n}\n"))
        #expect(fixture.handler.names == ["stop", "query-status"])
        await fixture.close()
    }

    @Test func `a line that makes no sense is reported and not sent`() async throws {
        let fixture = try ClientFixture(.control)
        let shown = await fixture.session(lines: "stop now\n{\"a\"\n[1]\nwatch fast\n")
        #expect(shown.status == 1)
        #expect(shown.text == "")
        #expect(shown.errors.count == 4)
        #expect(fixture.handler.names.isEmpty)
        await fixture.close()
    }

    @Test func `exit leaves the endpoint alone and quit doesn't`() async throws {
        let fixture = try ClientFixture(.control)
        let left = await fixture.session(lines: "exit\n")
        #expect(left.status == 0)
        #expect(fixture.handler.names.isEmpty)
        let quit = await fixture.session(lines: "quit\n")
        #expect(quit.status == 0)
        #expect(fixture.handler.names == ["quit"])
        await fixture.close()
    }

    @Test func `watches a migration until it ends, a line at a time`() async throws {
        let fixture = try ClientFixture(.control)
        let shown = await fixture.session { $0.run(words: ["watch", "0.1"], input: -1) }
        #expect(shown.status == 0)
        #expect(
            shown.text == """
                none
                active  0%  4.0 KiB left  w0 increment 1.0 KiB/s clean
                completed  100%  0 B left  downtime 3 ms  w0 increment 1.0 KiB/s clean

                """
        )
        await fixture.close()
    }

    @Test func `talks with a human monitor, too`() async throws {
        let fixture = try ClientFixture(.readline)
        let shown = await fixture.session(lines: "say a b\nbogus\n")
        #expect(shown.status == 1)
        #expect(shown.text == "a b\nunknown command: 'bogus'\n")
        let words = await fixture.session { $0.run(words: ["say", "x"], input: -1) }
        #expect(words.status == 0)
        #expect(words.text == "x\n")
        await fixture.close()
    }
}
