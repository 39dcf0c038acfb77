import BerthTestSupport
import BerthWire
import Testing

@Suite struct ConfigurationSectionTests {
    private let decoder: Decoder<ConfigurationSection> = ConfigurationSection.init(decoding:_:)

    @Test func `header refuses other magics and versions`() throws {
        let bytes = encoded { StreamHeader().encode(into: &$0) }
        #expect(bytes == [0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3])
        try checkFeeding(bytes, StreamHeader.init(decoding:_:))

        #expect(
            throws: WireError.badMagic(
                field: "stream magic",
                offset: 0,
                expected: 0x5145_564d,
                found: 0x5145_564e
            )
        ) {
            try decode([0x51, 0x45, 0x56, 0x4e, 0, 0, 0, 3], StreamHeader.init(decoding:_:))
        }
        #expect(
            throws: WireError.unsupportedVersion(
                field: "stream version",
                offset: 4,
                supported: 3...3,
                found: 2
            )
        ) {
            try decode([0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 2], StreamHeader.init(decoding:_:))
        }
    }

    @Test func `carries machine, page bits, capabilities and UUID`() throws {
        let bytes = try HexVector.load("configuration/every")
        let configuration = ConfigurationSection(
            machineName: "none",
            targetPageBits: 12,
            capabilities: ["x-ignore-shared", "mapped-ram"],
            uuid: GuestUUID("00112233-4455-6677-8899-AABBCCDDEEFF")
        )
        try checkFeeding(bytes, lookAhead: 1, decoder)
        #expect(try decode(bytes, decoder) == configuration)
        #expect(encoded { configuration.encode(into: &$0) } + [0] == bytes)
        #expect(configuration.uuid?.description == "00112233-4455-6677-8899-aabbccddeeff")
    }

    @Test func `a machine's name can be empty and has a limit`() throws {
        #expect(try decode([7, 0, 0, 0, 0, 0], decoder).machineName.isEmpty)
        #expect(
            throws: WireError.limitExceeded(
                field: "machine name length",
                offset: 1,
                limit: 256,
                found: 0xffff_ffff
            )
        ) {
            try decode([7, 0xff, 0xff, 0xff, 0xff], decoder)
        }
    }

    @Test func `the number of capabilities has a limit`() throws {
        var bytes: [UInt8] = [7, 0, 0, 0, 0, 5, 26]
        bytes += "configuration/capabilities".utf8
        bytes += [0, 0, 0, 1, 0, 0, 0, 65]
        #expect(
            throws: WireError.limitExceeded(
                field: "capability count",
                offset: 37,
                limit: 64,
                found: 65
            )
        ) {
            try decode(bytes, decoder)
        }
    }

    @Test func `an unknown subsection is named`() throws {
        let bytes: [UInt8] = [7, 0, 0, 0, 0, 5, 3] + "odd".utf8
        #expect(
            throws: WireError.unknownKind(
                field: "configuration subsection",
                offset: 5,
                found: "'odd'"
            )
        ) {
            try decode(bytes, decoder)
        }
    }

    @Test func `a subsection cannot come twice`() throws {
        let once = try HexVector.load("configuration/every").dropLast()
        let subsections = once.dropFirst(9)
        let error = #expect(throws: WireError.self) {
            try decode(Array(once + subsections + [0]), decoder)
        }
        #expect(error?.description.hasSuffix("'configuration/target-page-bits' again") == true)
    }

    @Test func `a missing section is told from a bad one`() {
        #expect(
            throws: WireError.badMagic(
                field: "configuration section",
                offset: 0,
                expected: 7,
                found: 1
            )
        ) {
            try decode([1, 0, 0, 0, 1], decoder)
        }
    }

    @Test(arguments: ["", "0", "00112233-4455-6677-8899-aabbccddeef", "0011223344556677-8899-aabb"])
    func `only the full textual form is a UUID`(text: String) {
        #expect(GuestUUID(text) == nil)
    }
}
