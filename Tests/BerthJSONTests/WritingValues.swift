import BerthJSON
import Testing

@Suite struct WritingValues {
    @Test(
        arguments: [
            (JSONValue.null, "null"),
            (true, "true"),
            (-9_223_372_036_854_775_808, "-9223372036854775808"),
            (.unsigned(.max), "18446744073709551615"),
            (.double(0.1), "0.10000000000000001"),
            (.double(100), "100"),
            (.double(18_446_744_073_709_551_616), "1.8446744073709552e+19"),
            (.double(-.zero), "-0"),
            (.double(.infinity), "inf"),
            (.array([]), "[]"),
            (.object([:]), "{}"),
            (["b": [1, 2, nil], "a": ["c": "d"]], #"{"b": [1, 2, null], "a": {"c": "d"}}"#),
        ] as [(JSONValue, String)]
    )
    func `spells a value as QEMU does`(value: JSONValue, expected: String) {
        #expect(value.serialized() == expected)
    }

    @Test(arguments: [
        ("it's \"/\\", #""it's \"/\\""#),
        ("\u{08}\u{0C}\n\r\t", #""\b\f\n\r\t""#),
        ("\u{00}\u{1B}\u{7F}", #""\u0000\u001B\u007F""#),
        ("\u{E9}\u{20AC}\u{1F600}\u{10FFFD}", #""\u00E9\u20AC\uD83D\uDE00\uDBFF\uDFFD""#),
    ])
    func `writes strings in ASCII`(text: String, expected: String) {
        #expect(JSONValue.string(text).serialized() == expected)
    }

    @Test(arguments: [0xFFFE, 0xFDD0, 0x10FFFF] as [UInt32])
    func `replaces characters that QEMU would refuse to read`(codePoint: UInt32) throws {
        let scalar = try #require(Unicode.Scalar(codePoint))
        #expect(JSONValue.string(String(scalar)).serialized() == #""\uFFFD""#)
    }

    @Test func `breaks lines with CR LF when pretty, also in empty containers`() {
        let value: JSONValue = ["return": [:], "id": [1, [:]]]
        let lines = [
            "{", #"    "return": {"#, "    },", #"    "id": ["#, "        1,", "        {",
            "        }",
            "    ]", "}",
        ]
        #expect(value.serialized(pretty: true) == lines.joined(separator: "\r\n"))
    }
}

@Suite struct ObjectMembers {
    @Test func `keep their order and replace in place`() {
        var object: JSONObject = ["z": 1, "a": 2]
        object["m"] = 3
        object["z"] = 4
        #expect(object.keys == ["z", "a", "m"])
        #expect(object["z"] == 4)
        object["a"] = nil
        #expect(object.keys == ["z", "m"])
        #expect(object["a"] == nil)
    }

    @Test func `are found by the bytes of their keys`() {
        let object: JSONObject = ["\u{E9}": 1, "e\u{301}": 2]
        #expect(object.count == 2)
        #expect(object["\u{E9}"] == 1)
        #expect(object["e\u{301}"] == 2)
    }

    @Test func `are found in large objects after removals`() {
        var object = JSONObject((0..<100).map { ("k\($0)", JSONValue($0)) })
        for number in stride(from: 0, to: 100, by: 2) { object["k\(number)"] = nil }
        #expect(object.count == 50)
        for number in 0..<100 {
            #expect(object["k\(number)"]?.int64Value == (number % 2 == 1 ? Int64(number) : nil))
        }
        for number in 0..<100 { object["k\(number)"] = nil }
        #expect(object.isEmpty)
        object["k1"] = true
        #expect(object["k1"] == true)
    }

    @Test func `make equal objects in any order`() {
        let object: JSONObject = ["a": 1, "b": 2]
        #expect(object == ["b": 2, "a": 1])
        #expect(object != ["a": 1, "b": 3])
        #expect(object != ["a": 1])
    }
}
