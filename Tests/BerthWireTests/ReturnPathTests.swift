import BerthTestSupport
import BerthWire
import Testing

@Suite struct ReturnPathTests {
    private let decoder: Decoder<ReturnPathMessage> = ReturnPathMessage.init(decoding:_:)

    private let every: [ReturnPathMessage] = [
        .pong(1),
        .requestPages(block: "ram", start: 0x2000, byteCount: 4096),
        .requestPages(block: nil, start: 0x4000, byteCount: 4096),
        .resumeAck(1),
        .switchoverAck,
        .shut(0),
    ]

    @Test func `decodes and encodes every message`() throws {
        let bytes = try HexVector.load("return-path/every")
        #expect(try decodeEach(bytes, decoder) == every)
        #expect(encoded { output in every.forEach { $0.encode(into: &output) } } == bytes)
    }

    @Test func `every prefix asks for more and no change traps`() throws {
        for message in every + [.receivedBitmap(block: "ram")] {
            try checkFeeding(encoded { message.encode(into: &$0) }, decoder)
        }
    }

    @Test func `a bitmap follows its message`() throws {
        let bytes = try HexVector.load("return-path/received-bitmap")
        var cursor = WireCursor()
        #expect(try decoder(&cursor, bytes.span) == .receivedBitmap(block: "ram"))
        let rest = Array(bytes[cursor.offset...])
        try checkFeeding(rest) { cursor, bytes throws(WireError) in
            try ReceivedBitmap(decoding: &cursor, bytes, pageCount: 70)
        }
        let bitmap = try ReceivedBitmap(decoding: &cursor, bytes.span, pageCount: 70)
        #expect(bitmap.bits[0] == 3 && bitmap.bits[8] == 0x20)
        #expect(encoded { bitmap.encode(into: &$0) } == rest)
        #expect(throws: WireError.self) {
            var cursor = WireCursor()
            return try ReceivedBitmap(decoding: &cursor, rest.span, pageCount: 129)
        }
    }

    @Test(
        arguments: [
            [0, 0, 0, 0],  // no such type
            [0, 8, 0, 0],
            [0, 9, 0, 0],
            [0, 1, 0, 3],  // lengths that no destination sends
            [0, 1, 0, 5],
            [0, 2, 0, 0],
            [0, 3, 0, 13],
            [0, 3, 1, 13],
            [0, 4, 0, 13],
            [0, 5, 0, 1],
            [0, 7, 0, 1],
            [0, 5, 2, 1],  // above the limit
            [0, 5, 0xff, 0xff],
            [0, 5, 0, 3, 3, 0x61, 0x62],  // a name that does not fill the message
            [0, 5, 0, 3, 1, 0x61, 0x62],
        ] as [[UInt8]]
    )
    func `refuses messages that no destination sends`(bytes: [UInt8]) {
        let error = #expect(throws: WireError.self) { try decode(bytes, decoder) }
        if case .truncated? = error {
            Issue.record("\(bytes) asks for more")
        }
    }
}
