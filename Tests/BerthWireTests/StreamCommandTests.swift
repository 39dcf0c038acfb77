import BerthTestSupport
import BerthWire
import Testing

@Suite struct StreamCommandTests {
    private let decoder: Decoder<StreamCommand> = StreamCommand.init(decoding:_:)

    private let every: [StreamCommand] = [
        .openReturnPath,
        .ping(1),
        .postcopyAdvise(.init(pageSizeSummary: 0x1000, targetPageByteCount: 0x1000)),
        .postcopyAdvise(nil),
        .postcopyListen,
        .postcopyRun,
        .postcopyRAMDiscard(
            .init(block: "pc.ram", ranges: [.init(start: 0x10000, byteCount: 0x40000)])
        ),
        .packaged(byteCount: 42),
        .enableCOLO,
        .postcopyResume,
        .receiveBitmap(block: "pc.ram"),
        .switchoverStart,
    ]

    @Test func `decodes and encodes every command`() throws {
        let bytes = try HexVector.load("command/every")
        #expect(try decodeEach(bytes, decoder) == every)
        #expect(encoded { output in every.forEach { $0.encode(into: &output) } } == bytes)
        #expect(Set(every.map(\.code)) == Set(StreamCommand.codes))
    }

    @Test func `every prefix asks for more and no change traps`() throws {
        for command in every {
            try checkFeeding(encoded { command.encode(into: &$0) }, decoder)
        }
    }

    @Test(arguments: [0, 12, 0xffff] as [UInt16])
    func `refuses codes that do not exist`(code: UInt16) {
        let bytes = [8, UInt8(code >> 8), UInt8(code & 0xff), 0, 0]
        let error = #expect(throws: WireError.self) { try decode(bytes, decoder) }
        guard case .unknownKind(field: "command code", offset: 1, _)? = error else {
            Issue.record("code \(code) gave \(String(describing: error))")
            return
        }
    }

    @Test func `refuses payloads of the wrong length before they arrive`() {
        for command in every {
            var bytes = encoded { command.encode(into: &$0) }
            // No command has this length, and no byte of it is there.
            bytes.replaceSubrange(3..., with: [0x00, 0x05])
            guard command.code != 6, command.code != 10, command.code != 3 else {
                continue
            }
            let error = #expect(throws: WireError.self) { try decode(bytes, decoder) }
            guard case .invalidValue(field: "command payload length", offset: 3, _, "5")? = error
            else {
                Issue.record("\(command) gave \(String(describing: error))")
                continue
            }
        }
    }

    @Test(
        arguments: [
            [8, 0, 3, 0, 1, 0],
            [8, 0, 3, 0, 17] + Array(repeating: 0, count: 17),
            [8, 0, 10, 0, 0],
            [8, 0, 10, 0, 1, 0],
            [8, 0, 10, 0, 3, 1, 0x61, 0x62],
            [8, 0, 10, 0, 2, 2, 0x61, 0x62],
            [8, 0, 6, 0, 0],
            [8, 0, 6, 0, 4, 0, 1, 0x61, 0],
            [8, 0, 6, 0, 20, 0, 1, 0x61, 1] + Array(repeating: 0, count: 16),
            [8, 0, 6, 0, 20, 1, 1, 0x61, 0] + Array(repeating: 0, count: 16),
            [8, 0, 6, 0, 19, 0, 0, 0] + Array(repeating: 0, count: 16),
            [8, 0, 6, 0, 20, 0, 1, 0x61, 0] + Array(repeating: 0xff, count: 16),
            [8, 0, 7, 0, 4, 0xff, 0xff, 0xff, 0xff],
            [4, 0, 7, 0, 4, 0, 0, 0, 1],
        ] as [[UInt8]]
    )
    func `refuses payloads that no source sends`(bytes: [UInt8]) {
        let error = #expect(throws: WireError.self) { try decode(bytes, decoder) }
        if case .truncated? = error {
            Issue.record("\(bytes) asks for more")
        }
    }
}
