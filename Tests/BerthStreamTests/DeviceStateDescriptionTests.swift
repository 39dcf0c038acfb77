import BerthStream
import BerthWire
import Testing

@Suite struct DeviceStateDescriptionTests {
    private func devices(_ list: String) throws -> [VMDescription.Device] {
        try VMDescription(parsing: Array(#"{"devices": [\#(list)]}"#.utf8)).devices
    }

    private func byteCount(_ members: String) throws -> UInt64? {
        try devices(#"{"name": "a", "instance_id": 2, \#(members)}"#).first?.bodyByteCount
    }

    @Test func `names, instances and the page size are read`() throws {
        let text = #"{"page_size": 4096, "devices": [{"name": "a", "instance_id": 2, "size": 5}]}"#
        let description = try VMDescription(parsing: Array(text.utf8))
        #expect(description.pageByteCount == 4096)
        #expect(description.devices == [.init(name: "a", instance: 2, bodyByteCount: 5)])
    }

    @Test(
        arguments: [
            (#""size": 131, "fields": [{"name": "data", "size": 131}]"#, 131),
            (#""fields": []"#, 0),
            (#""vmsd_name": "a""#, 0),
            (#""fields": [{"size": 4}, {"size": 32}, {"size": 1}]"#, 37),
            // Equal elements folded into one, and elements that could not be folded.
            (#""fields": [{"size": 4, "array_len": 6}]"#, 24),
            (#""fields": [{"size": 4, "index": 0}, {"size": 5, "index": 1}, {"size": 6}]"#, 15),
            // A nested structure's size has everything within.
            (
                #""fields": [{"size": 9, "struct": {"fields": [{"size": 3}], "subsections": ["#
                    + #"{"vmsd_name": "b", "fields": [{"size": 1}]}]}}]"#, 9
            ),
            // Subsections have a mark, a name with its length, and a version.
            (
                #""fields": [{"size": 1}], "subsections": [{"vmsd_name": "a/bc", "fields": ["#
                    + #"{"size": 2}], "subsections": [{"vmsd_name": "a/d", "fields": []}]}]"#,
                1 + (6 + 4 + 2) + (6 + 3)
            ),
            // Lists repeat their keys; only the size counts.
            (#""fields": [{"size": 7, "fields": [{"size": 1}], "fields": [{"size": 2}]}]"#, 7),
        ] as [(String, UInt64)]
    )
    func `lengths follow from fields and subsections`(members: String, expected: UInt64) throws {
        #expect(try byteCount(members) == expected)
    }

    @Test(arguments: [
        "", "{", "[]", "{}", "nothing", #"{"devices": 1}"#, #"{"devices": [1]}"#,
        #"{"devices": [{"instance_id": 0, "size": 1}]}"#,
        #"{"devices": [{"name": "a", "size": 1}]}"#,
        #"{"devices": [{"name": "a", "instance_id": -1, "size": 1}]}"#,
        #"{"devices": [{"name": "a", "instance_id": 4294967296, "size": 1}]}"#,
        #"{"devices": [{"name": "a", "instance_id": 0, "fields": [{"name": "b"}]}]}"#,
        #"{"devices": [{"name": "a", "instance_id": 0, "fields": [{"size": "1"}]}]}"#,
        #"{"devices": [{"name": "a", "instance_id": 0, "subsections": [{"fields": []}]}]}"#,
        // Lengths whose sum or product does not fit 64 bits.
        #"{"devices": [{"name": "a", "instance_id": 0, "fields": ["#
            + #"{"size": 9223372036854775807, "array_len": 3}]}]}"#,
        #"{"devices": [{"name": "a", "instance_id": 0, "fields": ["#
            + #"{"size": 9223372036854775807}, {"size": 9223372036854775807}, {"size": 2}]}]}"#,
    ])
    func `anything else is no description`(text: String) {
        #expect(throws: WireError.self) {
            try VMDescription(parsing: Array(text.utf8), at: 40)
        }
    }
}
