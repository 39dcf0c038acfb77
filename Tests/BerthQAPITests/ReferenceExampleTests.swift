import BerthJSON
import BerthQAPI
import Foundation
import Testing

/// The examples of the reference: what they send must be accepted, what they show must be JSON.
@Suite struct ReferenceExampleTests {
    private static let reference = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "docs/monitor/qmp-reference.md")

    /// Messages in code blocks: `->` or `<-`, and the JSON, its lines joined.
    private func messages() throws -> [(direction: String, json: String)] {
        let text = try String(contentsOf: Self.reference, encoding: .utf8)
        var messages: [(direction: String, json: String)] = []
        var isInside = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line == "```" {
                isInside.toggle()
            } else if isInside, line.hasPrefix("-> ") || line.hasPrefix("<- ") {
                messages.append((String(line.prefix(2)), String(line.dropFirst(3))))
            } else if isInside, let last = messages.indices.last {
                messages[last].json += " " + line
            }
        }
        return messages
    }

    @Test func `every example is right, and every command has one`() throws {
        var shown: Set<String> = []
        for (direction, json) in try messages() {
            guard case .object(let message) = try parseQMPText(json) else {
                Issue.record("not an object: \(json)")
                continue
            }
            guard direction == "->" else {
                #expect(message["return"] != nil || message["event"] != nil, "\(json)")
                continue
            }
            guard case .string(let name)? = message["execute"] else {
                Issue.record("no command: \(json)")
                continue
            }
            var arguments = JSONObject()
            if case .object(let object)? = message["arguments"] { arguments = object }
            #expect(throws: Never.self, "\(json)") {
                try QMPCommand.decode(name: name, arguments: arguments)
            }
            shown.insert(name)
        }
        #expect(shown == Set(QMPSchema.commands.map(\.name)))
    }
}
