import BerthStream
import BerthTestSupport
import BerthWire
import Testing

/// Descriptions that lie, and real ones with every kind of damage.
@Suite(.timeLimit(.minutes(5))) struct DeviceFieldHostileTests {
    private func decode(_ body: [UInt8], _ members: String) throws -> DecodedDevice {
        var state = DeviceState(final: DeviceSectionRun(), description: nil)
        state.final.append(
            id: 3,
            identity: .init(name: "a", instance: 0, version: 1),
            body: body,
            footer: true
        )
        state.description = Array(
            #"{"devices": [{"name": "a", "instance_id": 0, \#(members)}]}"#.utf8
        )
        return try #require(state.decoded().first)
    }

    @Test(
        arguments: [
            (
                #"{"name": "n", "type": "buffer", "size": 5}"#,
                "n: 5 bytes are described, 4 are left"
            ),
            (
                #"{"name": "n", "type": "uint8", "size": 1, "array_len": 9223372036854775807}"#,
                "n: 9223372036854775807 bytes are described, 4 are left"
            ),
            (
                #"{"name": "n", "size": 9223372036854775807, "array_len": 9223372036854775807}"#,
                "n: too many bytes are described, 4 are left"
            ),
            (#"{"name": "n", "type": "uint8"}"#, "n: a field is described without length"),
            (#"{"name": "n", "size": -1}"#, "n: a field is described without length"),
            (
                #"{"name": "n", "size": 1, "array_len": "2"}"#,
                "n: a field is described without length"
            ),
            (#"7"#, ": a field is described without length"),
            (
                #"{"name": "s", "type": "struct", "size": 4, "struct": {"fields": [{"name": "t", "#
                    + #""type": "uint64", "size": 8}]}}"#,
                "s.t: 8 bytes are described, 4 are left"
            ),
            (
                #"{"name": "s", "type": "struct", "size": 4, "struct": {"fields": []}}"#,
                "s: 4 bytes more than described"
            ),
            (#"{"name": "n", "type": "buffer", "size": 1}"#, "3 bytes more than described"),
        ]
    )
    func `what does not fit is raw, with a reason`(field: String, problem: String) throws {
        let device = try decode([1, 2, 3, 4], #""fields": [\#(field)]"#)
        #expect(device.problem == problem)
        #expect(covered(device.fields) == 4)
    }

    @Test(arguments: [
        #"{"vmsd_name": "a/b", "fields": []}"#, #"{"fields": []}"#, #"7"#,
        #"{"vmsd_name": "\#(String(repeating: "a", count: 256))", "fields": []}"#,
    ])
    func `a described subsection that is not there is a problem`(subsection: String) throws {
        for body in [[], [0x05], [0x05, 3], Array("\u{05}\u{03}a/c\u{0}\u{0}\u{0}\u{1}".utf8)] {
            let device = try decode(body, #""fields": [], "subsections": [\#(subsection)]"#)
            #expect(device.problem != nil)
            #expect(covered(device.fields) == body.count)
        }
    }

    /// Four bytes of description for each of a million empty structures.
    @Test func `arrays of nothing cost nothing`() throws {
        let device = try decode(
            [1],
            #""fields": [{"name": "n", "type": "struct", "size": 0, "array_len": 1152921504606846976,"#
                + #""struct": {"fields": []}}, {"name": "b", "type": "uint8", "size": 1}]"#
        )
        #expect(device.problem == nil)
        #expect(device["b"]?.value == .unsigned(1))
    }

    @Test func `a description cannot unfold without end`() throws {
        let empty = Array(repeating: #"{"name": "n", "type": "buffer", "size": 0}"#, count: 1000)
        let inner = empty + [#"{"name": "n", "type": "buffer", "size": 1}"#]
        let body = [UInt8](repeating: 1, count: 1 << 20)
        let device = try decode(
            body,
            #""fields": [{"name": "n", "type": "struct", "size": 1, "array_len": \#(body.count),"#
                + #""struct": {"fields": [\#(inner.joined(separator: ","))]}}]"#
        )
        #expect(device.problem?.contains("unfolds into more than") == true)
        #expect(count(device.fields) <= 1 << 18)
        #expect(covered(device.fields) == body.count)
    }

    /// Every byte of the text changed, one at a time, and every shorter text.
    @Test func `no damage to a description traps`() throws {
        let description = Array(
            (#"{"devices": [{"name": "a", "instance_id": 0, "fields": [{"name": "x", "array_len": 2, "#
                + #""type": "uint8", "size": 1}, {"name": "l", "type": "qlist", "vmsd_name": "t", "#
                + #""fields": [{"name": "n", "type": "uint16", "size": 2}], "size": 7}, "#
                + #"{"name": "s", "type": "struct", "struct": {"vmsd_name": "b", "fields": ["#
                + #"{"name": "m", "type": "bool", "size": 1}]}, "size": 1}], "subsections": ["#
                + #"{"vmsd_name": "a/d", "version": 1, "fields": [{"name": "v", "type": "uint16", "#
                + #""size": 2}]}]}]}"#).utf8
        )
        let body: [UInt8] =
            [1, 2, 1, 0, 5, 1, 0, 6, 0, 1, 5, 3] + Array("a/d".utf8) + [0, 0, 0, 9, 6, 7]
        var state = DeviceState(final: DeviceSectionRun(), description: description)
        let identity = SectionHeader.Identity(name: "a", instance: 0, version: 1)
        state.final.append(id: 1, identity: identity, body: body, footer: true)
        #expect(try #require(state.decoded().first).problem == nil)
        for index in description.indices {
            for replacement in [UInt8(ascii: "0"), 0x22, 0x2c, 0x7d, description[index] ^ 1] {
                var damaged = description
                damaged[index] = replacement
                state.description = damaged
                let device = try #require(state.decoded().first)
                #expect(device.problem != nil || covered(device) == body.count)
            }
            state.description = Array(description[..<index])
            #expect(try #require(state.decoded().first).problem != nil)
        }
        state.description = description
        for index in body.indices {
            var damaged = body
            damaged[index] ^= 0xff
            var other = DeviceState(final: DeviceSectionRun(), description: description)
            other.final.append(id: 1, identity: identity, body: damaged, footer: true)
            let device = try #require(other.decoded().first)
            #expect(covered(device) == body.count)
        }
    }
}

/// Bytes that fields and subsections of a device cover.
private func covered(_ device: DecodedDevice) -> Int {
    covered(device.fields) + device.subsections.reduce(0) { $0 + covered($1) }
}

/// Bytes of a subsection with its framing.
private func covered(_ subsection: DeviceStructure) -> Int {
    6 + subsection.name.utf8.count + covered(subsection.fields)
        + subsection.subsections.reduce(0) { $0 + covered($1) }
}

private func covered(_ fields: [DeviceField]) -> Int {
    fields.reduce(0) { $0 + $1.byteCount }
}

/// Fields and structures within.
private func count(_ fields: [DeviceField]) -> Int {
    fields.reduce(fields.count) { sum, field in
        switch field.value {
        case .structure(let inner): sum + 1 + count(inner.fields)
        case .structures(let inner): sum + inner.reduce(0) { $0 + 1 + count($1.fields) }
        default: sum
        }
    }
}
