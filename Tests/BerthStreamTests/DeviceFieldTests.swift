import BerthStream
import BerthTestSupport
import BerthWire
import Testing

/// Fields of devices, decoded along descriptions made for the purpose.
@Suite struct DeviceFieldTests {
    /// Decodes one section named `a`.
    ///
    /// - Parameter members: of the description's device, beside name and instance.
    private func decode(_ body: [UInt8], _ members: String) throws -> DecodedDevice {
        var state = DeviceState(final: DeviceSectionRun(), description: nil)
        state.final.append(
            id: 3,
            identity: .init(name: "a", instance: 2, version: 7),
            body: body,
            footer: true
        )
        state.description = Array(
            #"{"devices": [{"name": "a", "instance_id": 2, \#(members)}]}"#.utf8
        )
        return try #require(state.decoded().first)
    }

    /// Decodes a section with one field and gives that.
    private func field(_ body: [UInt8], _ members: String) throws -> DeviceField {
        let device = try decode(body, #""fields": [{"name": "f", \#(members)}]"#)
        #expect(device.problem == nil)
        #expect(device.fields.count == 1)
        return try #require(device["f"])
    }

    @Test(
        arguments: [
            ("uint8", [0xfe], .unsigned(0xfe)), ("int8", [0xfe], .signed(-2)),
            ("uint16", [0x12, 0x34], .unsigned(0x1234)), ("int16", [0x80, 0], .signed(-32768)),
            ("uint32", [1, 2, 3, 4], .unsigned(0x0102_0304)),
            ("int32", [0xff, 0xff, 0xff, 0xff], .signed(-1)),
            ("int32 le", [0, 0, 1, 0], .signed(256)),
            ("uint32 equal", [0, 0, 0, 9], .unsigned(9)),
            ("uint64", [0xff, 0, 0, 0, 0, 0, 0, 1], .unsigned(0xff00_0000_0000_0001)),
            ("int64", [0x80, 0, 0, 0, 0, 0, 0, 0], .signed(.min)),
            ("timer", Array(repeating: 0xff, count: 8), .unsigned(.max)),
            ("bool", [1], .bool(true)), ("bool", [0], .bool(false)), ("bool", [2], .unsigned(2)),
            // A name with a size that isn't its own, and names that nobody knows.
            ("uint32", [1, 2], .bytes([1, 2])), ("pci config", [1, 2], .bytes([1, 2])),
            ("", [], .bytes([])),
        ] as [(String, [UInt8], DeviceField.Value)]
    )
    func `numbers are big-endian`(type: String, body: [UInt8], value: DeviceField.Value) throws {
        let found = try field(body, #""type": "\#(type)", "size": \#(body.count)"#)
        #expect(found.value == value)
        #expect(found.type == type)
        #expect(found.byteCount == body.count)
    }

    @Test func `arrays of numbers are read one by one`() throws {
        let words = try field([0, 1, 0xff, 0xfe], #""type": "int16", "size": 2, "array_len": 2"#)
        guard case .numbers(let numbers) = words.value else {
            Issue.record("not numbers: \(words.value)")
            return
        }
        #expect(Array(numbers) == [.signed(1), .signed(-2)])
        #expect(words.count == 2)
        let bytes = try field([7, 8, 9], #""type": "uint8", "size": 1, "array_len": 3"#)
        #expect(bytes.value == .bytes([7, 8, 9]))
    }

    @Test func `structures and subsections are nested`() throws {
        let body: [UInt8] =
            [0xaa] + [1, 0x05, 3] + Array("b/c".utf8) + [0, 0, 0, 2, 5] + [0x05, 3]
            + Array("a/d".utf8) + [0, 0, 0, 9, 6, 7]
        let device = try decode(
            body,
            #""vmsd_name": "A", "version": 1, "fields": [{"name": "x", "type": "uint8", "size": 1},"#
                + #"{"name": "y", "type": "struct", "struct": {"vmsd_name": "b", "version": 4, "#
                + #""fields": [{"name": "z", "type": "uint8", "size": 1}], "subsections": ["#
                + #"{"vmsd_name": "b/c", "version": 2, "fields": [{"name": "w", "type": "uint8", "#
                + #""size": 1}]}]}, "size": 11}], "subsections": [{"vmsd_name": "a/d", "version": 1,"#
                + #""fields": [{"name": "v", "type": "uint16", "size": 2}]}]"#
        )
        #expect(device.problem == nil)
        #expect(device.name == "a")
        #expect(device.instance == 2)
        #expect(device.version == 7)
        #expect(device.byteCount == body.count)
        #expect(device.fields.map(\.offset) == [0, 1])
        guard case .structure(let inner)? = device["y"]?.value else {
            Issue.record("no structure")
            return
        }
        #expect(inner.name == "b")
        #expect(inner.version == 4)
        #expect(inner["z"]?.value == .unsigned(1))
        #expect(inner["z"]?.offset == 1)
        #expect(inner.subsections.map(\.name) == ["b/c"])
        #expect(inner.subsections.first?["w"]?.value == .unsigned(5))
        #expect(inner.subsections.first?["w"]?.offset == 11)
        // The stream's version counts, not the description's.
        #expect(device.subsections.map(\.version) == [9])
        #expect(device.subsections.first?["v"]?.value == .unsigned(0x0607))
    }

    @Test func `folded and listed arrays of structures are read`() throws {
        let inner = #"{"vmsd_name": "e", "fields": [{"name": "n", "type": "uint8", "size": 1}]}"#
        let folded = try field(
            [1, 2, 3],
            #""array_len": 3, "type": "struct", "struct": \#(inner), "size": 1"#
        )
        guard case .structures(let elements) = folded.value else {
            Issue.record("not structures: \(folded.value)")
            return
        }
        #expect(elements.map { $0["n"]?.value } == [.unsigned(1), .unsigned(2), .unsigned(3)])

        let device = try decode(
            [1, 2],
            #""fields": [{"name": "e", "index": 0, "type": "struct", "struct": \#(inner), "size": 1},"#
                + #"{"name": "e", "type": "struct", "struct": \#(inner), "size": 1}]"#
        )
        #expect(device.problem == nil)
        #expect(device.fields.map(\.index) == [0, nil])
    }

    @Test(arguments: ["tmp", "vstruct"])
    func `structures described in line are read`(type: String) throws {
        let found = try field(
            [5],
            #""type": "\#(type)", "vmsd_name": "t", "fields": [{"name": "n", "type": "uint8", "#
                + #""size": 1}], "size": 1"#
        )
        guard case .structure(let inner) = found.value else {
            Issue.record("not a structure: \(found.value)")
            return
        }
        #expect(inner["n"]?.value == .unsigned(5))
    }

    /// QEMU repeats the keys of a list's object for every element.
    @Test(arguments: ["qtailq", "qlist"])
    func `lists of like elements are read`(type: String) throws {
        let keys =
            #""vmsd_name": "t", "version": 1, "fields": [{"name": "n", "type": "uint16", "size": 2}]"#
        let two = try field(
            [1, 0, 5, 1, 0, 6, 0],
            #""type": "\#(type)", \#(keys), \#(keys), "size": 7"#
        )
        guard case .structures(let elements) = two.value else {
            Issue.record("not structures: \(two.value)")
            return
        }
        #expect(elements.map { $0["n"]?.value } == [.unsigned(5), .unsigned(6)])
        let none = try field([0], #""type": "\#(type)", "size": 1"#)
        #expect(none.value == .structures([]))
    }

    @Test(
        arguments: [
            [1, 0, 5, 2], [1, 0, 5, 1, 9, 0], [1, 0, 5, 0, 0], [1, 0, 5], [1, 0], [3],
        ] as [[UInt8]]
    )
    func `lists that are not understood are bytes`(body: [UInt8]) throws {
        let found = try field(
            body,
            #""type": "qtailq", "vmsd_name": "t", "fields": [{"name": "n", "type": "uint16", "#
                + #""size": 2}], "size": \#(body.count)"#
        )
        #expect(found.value == .bytes(body[...]))
    }

    @Test func `handlers of the old style have their data`() throws {
        for members in [
            #""size": 3, "fields": [{"name": "data", "size": 3, "type": "buffer"}]"#, #""size": 3"#,
        ] {
            let device = try decode([1, 2, 3], members)
            #expect(device.problem == nil)
            #expect(device["data"]?.value == .bytes([1, 2, 3]))
        }
    }

    @Test func `sections without description are raw and say so`() throws {
        var state = DeviceState(final: DeviceSectionRun(), description: nil)
        let identity = SectionHeader.Identity(name: "a", instance: 0, version: 1)
        state.final.append(id: 1, identity: identity, body: [1, 2], footer: true)
        for text in [nil, "", "{", "[]", #"{"devices": [7, {"name": "a", "instance_id": 1}]}"#] {
            state.description = text.map { Array($0.utf8) }
            let device = try #require(state.decoded().first)
            #expect(device.problem != nil)
            #expect(device.fields.map(\.value) == [.bytes([1, 2])])
        }
        state.description = nil
        state.final.append(id: 2, identity: identity, body: [], footer: true)
        #expect(state.decoded().last?.fields == [])
    }
}
