import BerthWire
import Testing

@Suite struct SectionTests {
    @Test(arguments: [
        SectionHeader(full: false, id: 7000, identity: .init(name: "ram", instance: 0, version: 4)),
        SectionHeader(full: true, id: 0, identity: .init(name: "dma", instance: 1, version: 1)),
        SectionHeader(partOf: 7000, isLast: false),
        SectionHeader(partOf: .max, isLast: true),
    ])
    func `section headers survive encoding`(header: SectionHeader) throws {
        let bytes = encoded { header.encode(into: &$0) }
        try checkFeeding(bytes, SectionHeader.init(decoding:_:))
        #expect(try decode(bytes, SectionHeader.init(decoding:_:)) == header)
    }

    @Test func `section headers have QEMU's layout`() {
        let start = SectionHeader(
            full: false,
            id: 1,
            identity: .init(name: "ram", instance: 0, version: 4)
        )
        #expect(
            encoded { start.encode(into: &$0) }
                == [1, 0, 0, 0, 1, 3, 0x72, 0x61, 0x6d, 0, 0, 0, 0, 0, 0, 0, 4]
        )
        #expect(
            encoded { SectionHeader(partOf: 1, isLast: true).encode(into: &$0) } == [3, 0, 0, 0, 1]
        )
    }

    @Test func `only elements can stand where an element begins`() throws {
        for byte in UInt8.min...UInt8.max {
            let kind = try? ElementKind(peeking: WireCursor(), [byte].span)
            #expect((kind != nil) == [0, 1, 2, 3, 4, 8].contains(byte))
            #expect(kind == nil || kind?.rawValue == byte)
        }
        #expect(throws: WireError.unknownKind(field: "element type", offset: 0, found: "0x7e")) {
            try ElementKind(peeking: WireCursor(), [0x7e].span)
        }
    }

    @Test func `a footer must carry its section's id`() throws {
        let bytes = encoded { SectionFooter(id: 0x0102_0304).encode(into: &$0) }
        #expect(bytes == [0x7e, 1, 2, 3, 4])
        try checkFeeding(bytes, SectionFooter.init(decoding:_:))
        var cursor = WireCursor(base: 50)
        #expect(
            throws: WireError.badMagic(
                field: "section footer id",
                offset: 51,
                expected: 5,
                found: 0x0102_0304
            )
        ) {
            try SectionFooter(decoding: &cursor, bytes.span, of: 5)
        }
        #expect(cursor.offset == 0)
        #expect(try SectionFooter(decoding: &cursor, bytes.span, of: 0x0102_0304).id == 0x0102_0304)
    }

    @Test func `a missing footer is named`() {
        #expect(
            throws: WireError.badMagic(field: "section footer", offset: 0, expected: 0x7e, found: 4)
        ) {
            try decode([4, 0, 0, 0, 1], SectionFooter.init(decoding:_:))
        }
    }

    @Test func `a description's length has a limit`() throws {
        let bytes = encoded { VMDescriptionHeader(textByteCount: 823).encode(into: &$0) }
        #expect(bytes == [6, 0, 0, 3, 0x37])
        try checkFeeding(bytes, VMDescriptionHeader.init(decoding:_:))
        #expect(
            throws: WireError.limitExceeded(
                field: "description length",
                offset: 1,
                limit: 16 << 20,
                found: 0x0100_0001
            )
        ) {
            try decode([6, 1, 0, 0, 1], VMDescriptionHeader.init(decoding:_:))
        }
    }
}
