import BerthJSON
import Testing

@Suite struct ReadingDocuments {
    @Test func `takes the last of two members with one key`() throws {
        let value = try parseJSON(Array(#"{"a": 1, "b": 2, "a": 3}"#.utf8))
        #expect(value == ["a": 3, "b": 2])
    }

    @Test func `reads what the monitor's dialect refuses`() throws {
        let raw: [UInt8] = [0xEF, 0xB7, 0x91]
        let value = try parseJSON(Array(#" [0e1, "\uFFFF", ""#.utf8) + raw + Array("\"]".utf8))
        let last = String(decoding: raw, as: UTF8.self)
        #expect(
            value == [
                .double(0), .string(String(UnicodeScalar(0xFFFF as UInt16) ?? " ")), .string(last),
            ]
        )
    }

    @Test(arguments: [
        ("'a'", 0), ("{'a': 1}", 1), ("[1, 01]", 5), (#"["\'"]"#, 1), ("[1,]", 3), ("{} {}", 3),
        ("nul", 0), ("", 0), ("[1, 2", 5), ("[\"a", 3), ("{\"a\" 1}", 5), ("[1}", 2),
        (#"["\uD800"]"#, 1),
    ])
    func `names the byte at which a text goes wrong`(text: String, offset: Int) {
        let error = #expect(throws: JSONError.self) { try parseJSON(Array(text.utf8)) }
        switch error {
        case .syntax(_, let found): #expect(found == offset)
        default: Issue.record("unexpected \(String(describing: error))")
        }
    }

    @Test func `refuses overlong UTF-8`() {
        #expect(throws: JSONError.self) { try parseJSON([0x22, 0xC0, 0x80, 0x22]) }
    }

    @Test func `keeps its limits`() {
        let limits = JSONLimits(depth: 3, tokenCount: 8, tokenByteCount: 16)
        func error(_ text: String) -> JSONError? {
            do {
                _ = try parseJSON(Array(text.utf8), limits: limits)
                return nil
            } catch {
                return error
            }
        }
        #expect(error("[[[1]]]") == nil)
        #expect(error("[[[[1]]]]") == .tooDeep(limit: 3))
        #expect(error("[1,1,1,1]") == .tooManyTokens(limit: 8))
        #expect(error("\"0123456789abcdef\"") == .tooLong(limit: 16))
        #expect(error("[\"0123456\", \"0123456\"]") == .tooLong(limit: 16))
    }

    @Test func `refuses every prefix of a document and survives every changed byte`() throws {
        let document = Array(#"{"a": [1, -2.5, "x\n\u00e9", {"b": null}], "c": false}"#.utf8)
        _ = try parseJSON(document)
        for count in document.indices {
            #expect(throws: JSONError.self) { try parseJSON(Array(document[..<count])) }
            for change in UInt8.min...UInt8.max {
                var copy = document
                copy[count] = change
                let value = try? parseJSON(copy)
                // What is still JSON reads back as itself; an integral double becomes an integer.
                guard let text = value?.serialized() else { continue }
                #expect(try parseJSON(Array(text.utf8)).serialized() == text)
            }
        }
    }
}
