import BerthWire
import Testing

@Suite struct MultifdTests {
    private let initial: Decoder<MultifdInitialPacket> = MultifdInitialPacket.init(decoding:_:)
    private let packet: Decoder<MultifdPacketHeader> = MultifdPacketHeader.init(decoding:_:)

    private func bytes(_ header: MultifdPacketHeader, _ offsets: [UInt64] = []) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xee, count: MultifdPacketHeader.byteCount)
        var elements = bytes.mutableSpan
        var span = elements.mutableBytes
        header.encode(into: &span)
        for index in 0..<MultifdPacketHeader.pageLimit {
            MultifdPacketHeader.setOffset(
                index < offsets.count ? offsets[index] : 0,
                at: index,
                in: &span
            )
        }
        return bytes
    }

    private let data = MultifdPacketHeader(
        flags: MultifdFlags(.none),
        pagesAllocated: 128,
        normalCount: 2,
        zeroCount: 1,
        payloadByteCount: 8192,
        packetNumber: 0x0102_0304_0506_0708,
        blockName: "pc.ram"
    )

    @Test func `an initial packet has QEMU's layout`() throws {
        let packet = MultifdInitialPacket(
            uuid: GuestUUID(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff),
            channelID: 7
        )
        var expected: [UInt8] = [0x11, 0x22, 0x33, 0x44, 0, 0, 0, 1]
        expected += (0..<16).map { $0 * 0x11 }
        expected += [7] + [UInt8](repeating: 0, count: 39)
        let bytes = encoded { packet.encode(into: &$0) }
        #expect(bytes == expected)
        #expect(bytes.count == MultifdInitialPacket.byteCount)
        try checkFeeding(bytes, initial)
        #expect(try decode(bytes, initial) == packet)
    }

    @Test func `an initial packet with another magic or version is refused`() throws {
        var bytes = encoded { MultifdInitialPacket(uuid: .zero, channelID: 0).encode(into: &$0) }
        bytes[7] = 2
        #expect(
            throws: WireError.unsupportedVersion(
                field: "multifd version",
                offset: 4,
                supported: 1...1,
                found: 2
            )
        ) { try decode(bytes, initial) }
        bytes[0] = 0x51
        #expect(
            throws: WireError.badMagic(
                field: "multifd magic",
                offset: 0,
                expected: 0x1122_3344,
                found: 0x5122_3344
            )
        ) { try decode(bytes, initial) }
    }

    @Test func `a packet's header has QEMU's layout`() throws {
        var expected: [UInt8] = [0x11, 0x22, 0x33, 0x44, 0, 0, 0, 1, 0, 0, 0, 0]
        expected += [0, 0, 0, 128, 0, 0, 0, 2, 0, 0, 0x20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1]
        expected += [UInt8](repeating: 0, count: 28)
        expected += Array("pc.ram".utf8) + [UInt8](repeating: 0, count: 250)
        expected += [0, 0, 0, 0, 0, 0, 0x30, 0] + [0, 0, 0, 0, 0, 0, 0x10, 0]
        expected += [0, 0, 0, 0x7f, 0xff, 0xff, 0xf0, 0]
        expected += [UInt8](repeating: 0, count: 125 * 8)
        let encodedForm = bytes(data, [0x3000, 0x1000, 0x7f_ffff_f000])
        #expect(encodedForm == expected)
        #expect(encodedForm.count == MultifdPacketHeader.byteCount)
        #expect(try decode(encodedForm, packet) == data)
        #expect(MultifdPacketHeader.offset(at: 0, in: encodedForm.span) == 0x3000)
        #expect(MultifdPacketHeader.offset(at: 2, in: encodedForm.span) == 0x7f_ffff_f000)
        #expect(MultifdPacketHeader.offset(at: 127, in: encodedForm.span) == 0)
    }

    @Test func `a packet's header is asked for in two steps`() throws {
        try checkFeeding(bytes(data, [0x3000, 0x1000, 0x2000]), packet)
        try checkFeeding(bytes(MultifdPacketHeader(flags: .sync)), packet)
    }

    @Test func `a sync point is a header without pages`() throws {
        let header = MultifdPacketHeader(flags: .sync, packetNumber: 9)
        let decoded = try decode(bytes(header), packet)
        #expect(decoded == header)
        #expect(decoded.flags.method == MultifdMethod.none)
    }

    @Test(arguments: [MultifdFlags.sync, [], MultifdFlags(.zlib)])
    func `a packet without pages may leave the size of the one before`(
        _ flags: MultifdFlags
    ) throws {
        var header = MultifdPacketHeader(flags: flags)
        header.payloadByteCount = 8192
        #expect(try decode(bytes(header), packet).payloadByteCount == 0)
    }

    @Test(arguments: MultifdMethod.allCases)
    func `methods survive encoding`(method: MultifdMethod) throws {
        var header = data
        header.flags = MultifdFlags(method).union(.sync)
        let decoded = try decode(bytes(header), packet)
        #expect(decoded.flags.method == method)
        #expect(decoded.flags.contains(.sync))
    }

    @Test func `compressed payload has any size up to QEMU's buffer`() throws {
        var header = data
        header.flags = MultifdFlags(.zstd)
        for size in [1, 17, 8193, MultifdPacketHeader.payloadByteLimit] {
            header.payloadByteCount = size
            #expect(try decode(bytes(header), packet).payloadByteCount == size)
        }
    }

    @Test(arguments: [
        (
            "pages_alloc", 12, 129,
            "multifd pages_alloc at offset 0xc: 129 is above the limit of 128"
        ),
        ("normal", 16, 129, "multifd normal_pages at offset 0x10: 129 is above the limit of 128"),
        ("zero", 32, 127, "multifd zero_pages at offset 0x20: 127 is above the limit of 126"),
        (
            "plain payload", 20, 4096,
            "multifd next_packet_size at offset 0x14: expected 8192 bytes for 2 pages, found 4096"
        ),
        (
            "payload", 20, 0x10_0001,
            "multifd next_packet_size at offset 0x14: 1048577 is above the limit of 1048576"
        ),
        ("flags", 8, 0x80, "unknown multifd flags 0x80 at offset 0x8"),
        ("methods", 8, 0x06, "unknown multifd flags 0x6 at offset 0x8"),
        (
            "device state", 8, 0x40,
            "unknown multifd packet with the state of a device (flags 0x40) at offset 0x8"
        ),
        (
            "payload without pages", 16, 0,
            "multifd next_packet_size at offset 0x14: expected 0 bytes for 0 pages, found 8192"
        ),
    ])
    func `a packet that contradicts itself is refused`(
        _ what: String,
        place: Int,
        value: UInt32,
        message: String
    ) {
        var bytes = bytes(data)
        bytes.replaceSubrange(place..<place + 4, with: encoded { $0.appendBigEndian(value) })
        let error = #expect(throws: WireError.self) { try decode(bytes, packet) }
        #expect(error?.description == message)
    }

    @Test func `a compressed packet with pages has a payload`() {
        var header = data
        header.flags = MultifdFlags(.zlib)
        header.payloadByteCount = 0
        let error = #expect(throws: WireError.self) { try decode(bytes(header), packet) }
        #expect(error?.field == "multifd next_packet_size")
    }

    @Test(arguments: [String(repeating: "a", count: 256), "", "p\u{7}"])
    func `a packet with pages needs a block's name`(name: String) {
        var bytes = bytes(data)
        let padding = [UInt8](repeating: 0, count: 256 - name.utf8.count)
        bytes.replaceSubrange(64..<320, with: Array(name.utf8) + padding)
        let error = #expect(throws: WireError.self) { try decode(bytes, packet) }
        #expect(error?.field == "multifd block name")
    }

    @Test func `the longest name fits`() throws {
        var header = data
        header.blockName = String(repeating: "x", count: 255)
        #expect(try decode(bytes(header), packet) == header)
    }

    @Test func `offsets in messages count from the start of the channel`() {
        var bytes = bytes(data)
        bytes[0] = 0
        var cursor = WireCursor(base: 0x1000)
        let error = #expect(throws: WireError.self) {
            try MultifdPacketHeader(decoding: &cursor, bytes.span)
        }
        #expect(error?.offset == 0x1000)
    }
}
