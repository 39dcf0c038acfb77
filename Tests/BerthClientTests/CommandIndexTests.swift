import BerthJSON
import BerthQAPI
import Testing

@testable import BerthClient

@Suite struct CommandIndexTests {
    private let index: CommandIndex

    init() throws {
        index = CommandIndex(schema: try parseQMPText(QMPSchema.introspectionJSON))
    }

    @Test func `shows a command's arguments with their types`() throws {
        let help = try #require(index.help(for: "migrate"))
        #expect(help.hasPrefix("migrate\n  uri: string, optional\n"))
        #expect(help.contains("\n    channel-type: main|cpr\n"))
        #expect(help.contains("\n      transport: socket|exec|rdma|file\n"))
        #expect(index.help(for: "stop") == "stop: no arguments\n")
        #expect(index.help(for: "bogus") == nil)
    }

    @Test func `completes names and values of arguments`() {
        let keys = index.candidates(command: "migrate", words: ["uri=x"], word: "")
        #expect(keys.contains("channels="))
        #expect(!keys.contains("uri="))
        let values = index.candidates(command: "migrate", words: [], word: "detach=")
        #expect(values == ["detach=false", "detach=true"])
        #expect(index.candidates(command: "bogus", words: [], word: "").isEmpty)
    }

    @Test func `survives a schema that goes round in circles`() throws {
        let schema: JSONValue = [
            ["name": "c", "meta-type": "command", "arg-type": "a", "ret-type": "a"],
            [
                "name": "a", "meta-type": "object",
                "members": [["name": "m", "type": "a"], ["name": "l", "type": "b"], 5],
                "variants": [["case": "x", "type": "a"], [:]],
            ],
            ["name": "b", "meta-type": "array", "element-type": "b"],
            ["name": 5], "nonsense",
        ]
        let index = CommandIndex(schema: schema)
        let help = try #require(index.help(for: "c"))
        #expect(help.split(separator: "\n").count < 400)
        #expect(
            index.candidates(command: "c", words: [], word: "m.m.m.") == [
                "m.m.m.m.", "m.m.m.l=",
            ]
        )
    }
}
