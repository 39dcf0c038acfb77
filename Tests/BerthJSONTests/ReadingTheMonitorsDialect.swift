import BerthJSON
import Testing

/// What a parser makes of one input: values in QEMU's spelling, errors in its words.
private func outputs(of input: [UInt8], pieces: [Range<Int>]? = nil) -> [String] {
    var parser = JSONStreamParser()
    var result: [String] = []
    for piece in pieces ?? [0..<input.count] {
        parser.feed(Array(input[piece])) { output in
            switch output {
            case .value(let value): result.append(value.serialized())
            case .error(let error): result.append("! " + error)
            }
        }
    }
    return result
}

private func outputs(of input: String) -> [String] { outputs(of: Array(input.utf8)) }

@Suite struct ReadingTheMonitorsDialect {
    @Test(arguments: [
        ("{'a': \"b\", \"c\": 'it\\'s'}", [#"{"a": "b", "c": "it's"}"#]),
        (
            "[0, -0, 1.5E+2, 18446744073709551615, 18446744073709551616, -9223372036854775809]",
            ["[0, 0, 150, 18446744073709551615, 1.8446744073709552e+19, -9.2233720368547758e+18]"]
        ),
        ("[true, false, null]", ["[true, false, null]"]),
        ("1 2\n", ["1", "2"]),
        ("true", []),
        (
            #"{"a\u0000b": 1, "\u0001": 2, "\u00010": 3, "\u0000": "\u0000"}"#,
            [#"{"a\u0000b": 1, "\u0001": 2, "\u00010": 3, "\u0000": "\u0000"}"#]
        ),
        (#"["\u0001\u001F\"\\/"]"#, [#"["\u0001\u001F\"\\/"]"#]),
        ("{}[]{}", ["{}", "[]", "{}"]),
        (#"{"a": {"a": 1}, "b": [{"a": 1}]}"#, [#"{"a": {"a": 1}, "b": [{"a": 1}]}"#]),
    ])
    func `reads values`(input: String, expected: [String]) {
        #expect(outputs(of: input) == expected)
    }

    @Test(arguments: [
        ("{[1]: 2}", "key is not a string in object"),
        ("{{}: 2}", "key is not a string in object"),
        ("{nul: 2}", "invalid keyword 'nul'"),
        ("{\"a\": 1, \"a\": 2,}", "duplicate key"),
        ("{\"a\": 1, \"a\": }", "expecting value"),
        ("[1 2]", "expected separator in list"),
        ("[1}", "expected separator in list"),
        ("{\"a\"]", "missing : in object pair"),
        ("\"\\u\"", "\\u\" is not a valid Unicode character"),
        ("'\\u12'", "\\u12' is not a valid Unicode character"),
        ("'\\uD800\\u123'", "\\uD800 is not a valid Unicode character"),
    ])
    func `names the first violation of a message`(input: String, reason: String) {
        #expect(outputs(of: input) == ["! JSON parse error, " + reason])
    }

    @Test func `finds a repeated key among many`() {
        let members = (0..<200).map { "\"k\($0)\": \($0)" }
        let twice = members + ["\"k7\": 0"]
        #expect(outputs(of: "{\(members.joined(separator: ","))}").first?.hasPrefix("{") == true)
        let found = outputs(of: "{\(twice.joined(separator: ","))}")
        #expect(found == ["! JSON parse error, duplicate key"])
    }

    @Test func `tells keys apart by their bytes`() {
        #expect(
            outputs(of: #"{"\#u{E9}": 1, "e\#u{301}": 2}"#) == [#"{"\u00E9": 1, "e\u0301": 2}"#]
        )
    }

    @Test(
        arguments: [
            ([0x22, 0xED, 0xA0, 0x80, 0x07], "stray '\"\u{FFFD}\u{07}'"),
            ([0x22, 0xC3, 0x28, 0xFF], "stray '\"\u{FFFD}(\u{FFFD}'"),
            ([0x22, 0xC0, 0x80, 0x41, 0x0A], "stray '\"\0A\n'"),
            ([0x22, 0xEF, 0xBF, 0xBE, 0x0A], "stray '\"\u{FFFD}\n'"),
        ] as [([UInt8], String)]
    )
    func `shows stray bytes as characters`(input: [UInt8], reason: String) {
        #expect(outputs(of: input) == ["! JSON parse error, " + reason])
    }

    @Test func `looks again at the byte that ends a search for sense`() {
        #expect(outputs(of: Array("@\0@@".utf8)).count == 2)
        #expect(outputs(of: [0x40, 0xFF, 0x0A]).count == 2)
        #expect(outputs(of: "@ abc\t'\"9{}") == ["! JSON parse error, stray '@'", "{}"])
    }

    @Test func `cuts the text of an error at 1023 bytes`() {
        let word = String(repeating: "x", count: 3000)
        let text = outputs(of: word + "\n").first ?? ""
        #expect(text == "! JSON parse error, invalid keyword '" + word.prefix(1023 - 17))
        #expect(outputs(of: "@").first == "! JSON parse error, stray '@'")
    }

    @Test func `takes 1024 levels and refuses one more`() {
        let deep = String(repeating: "[", count: 1024) + String(repeating: "]", count: 1024)
        #expect(outputs(of: deep) == [deep])
        let deeper = outputs(of: "[" + deep + "]")
        #expect(deeper.first == "! JSON nesting depth limit exceeded")
        #expect(deeper.dropFirst().allSatisfy { $0 == "! JSON parse error, expecting value" })
        #expect(deeper.count == 1026)
    }

    @Test func `refuses a message of too many tokens and reads on after it`() {
        let input = "[1" + String(repeating: ",1", count: 1_048_585) + "\n"
        let result = outputs(of: input)
        // 2 097 172 tokens: the limit breaks at number 2 097 153, a comma, and 19 are left over.
        #expect(result.first == "! JSON token count limit exceeded")
        #expect(result.filter { $0 == "1" }.count == 10)
        #expect(result.filter { $0 == "! JSON parse error, expecting value" }.count == 9)
        #expect(result.count == 20)
    }

    @Test func `refuses a string of more than 64 MiB without keeping it`() {
        var parser = JSONStreamParser()
        var result: [JSONStreamParser.Output] = []
        parser.feed(Array("\"".utf8)) { result.append($0) }
        let piece = [UInt8](repeating: UInt8(ascii: "@"), count: 1 << 20)
        for _ in 0..<64 { parser.feed(piece) { result.append($0) } }
        #expect(result.first == .error("JSON token size limit exceeded"))
        result = []
        parser.feed(Array("\n{}".utf8)) { result.append($0) }
        #expect(result.last == .value([:]))
    }

    @Test func `stops after each value for a reader that must not run ahead`() {
        var parser = JSONStreamParser()
        let input = Array(" {} 1,2".utf8)
        var index = 0
        #expect(parser.next(in: input, at: &index) == .value([:]))
        #expect(index == 3)
        #expect(parser.next(in: input, at: &index) == .value(1))
        #expect(index == 5)
        guard case .error = parser.next(in: input, at: &index) else {
            Issue.record("the comma was not looked at again")
            return
        }
        #expect(index == 6)
        #expect(parser.next(in: input, at: &index) == nil)
        #expect(index == 7)
        parser.reset()
        index = 0
        #expect(parser.next(in: Array(" ".utf8), at: &index) == nil)
    }

    @Test func `makes the same of every way to cut an input`() {
        let inputs = [
            #"{"a": [1.5e3, "\uD83D\uDE00", {'b': null}]}{"c":truE}01 "x"#,
            "{\"a\":\"\u{E9}\u{20AC}\"}]",
        ]
        for input in inputs.map({ Array($0.utf8) }) {
            let whole = outputs(of: input)
            for index in 0...input.count {
                #expect(outputs(of: input, pieces: [0..<index, index..<input.count]) == whole)
            }
            #expect(outputs(of: input, pieces: input.indices.map { $0..<$0 + 1 }) == whole)
        }
    }

    @Test func `survives every changed byte of a request`() {
        let request = Array(#"{"execute": "migrate", 'id': [1.5e3, "\uD83D\uDE00", true]}"#.utf8)
        for position in request.indices {
            for change in UInt8.min...UInt8.max {
                var input = request
                input[position] = change
                // What comes of it is the table's matter; afterwards all must be well again.
                input += [0xFF, 0x0A] + Array("{}".utf8)
                #expect(outputs(of: input).last == "{}")
            }
        }
    }
}

@Suite struct ReadingTextFromACommandLine {
    @Test(arguments: [
        ("{'a': 1}", "JSON"), ("12", "JSON"), (" [] ", "JSON"),
        ("", "Expecting a JSON value"), (" \n", "Expecting a JSON value"),
        ("{", "JSON parse error, premature EOI"), ("{'a'", "JSON parse error, premature EOI"),
        ("{'a':[1,", "JSON parse error, premature EOI"),
        ("{'a':1", "JSON parse error, premature EOI"),
        ("{'a", "JSON parse error, stray ''a'"), ("[-", "JSON parse error, stray '-'"),
        ("{} {}", "Expecting at most one JSON value"), ("{} }", "Expecting at most one JSON value"),
        ("{} 1", "Expecting at most one JSON value"), ("{} @", "Expecting at most one JSON value"),
        ("{} {", "Expecting at most one JSON value"),
        ("{,}", "JSON parse error, expecting value"),
    ])
    func `accepts exactly one value`(text: String, expected: String) {
        do {
            _ = try parseQMPText(text)
            #expect(expected == "JSON")
        } catch {
            #expect(error.description == expected)
        }
    }
}
