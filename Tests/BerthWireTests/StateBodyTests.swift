import BerthTestSupport
import BerthWire
import Testing

@Suite struct StateBodyTests {
    @Test(arguments: [
        GlobalState(runState: "running"),
        GlobalState(runState: "suspended", wasSuspended: true),
        GlobalState(runState: "paused", wasSuspended: nil),
    ])
    func `global states survive encoding`(state: GlobalState) throws {
        let bytes = encoded { state.encode(into: &$0) }
        #expect(bytes.count == GlobalState.byteCount)
        try checkFeeding(bytes, GlobalState.init(decoding:_:))
        #expect(try decode(bytes, GlobalState.init(decoding:_:)) == state)
    }

    @Test func `a global state has QEMU's layout`() {
        var expected: [UInt8] = [0, 0, 0, 8] + Array("running".utf8)
        expected += Array(repeating: 0, count: 25) + [1, 0]
        expected += Array(repeating: 0, count: 66)
        #expect(encoded { GlobalState(runState: "running").encode(into: &$0) } == expected)
    }

    @Test(arguments: [0, 1, 5, 7, 9, 33, 255] as [UInt8])
    func `a run state's length must fit its name`(length: UInt8) {
        var bytes = encoded { GlobalState(runState: "running").encode(into: &$0) }
        bytes[3] = length
        #expect(throws: WireError.self) { try decode(bytes, GlobalState.init(decoding:_:)) }
    }

    @Test func `timer states survive encoding and ignore the reserve`() throws {
        let state = TimerState(tickOffset: 1, clockOffset: 0x0102_0304_0506_0708)
        var bytes = encoded { state.encode(into: &$0) }
        #expect(bytes.count == TimerState.byteCount)
        try checkFeeding(bytes, TimerState.init(decoding:_:))
        bytes[12] = 0xff
        #expect(try decode(bytes, TimerState.init(decoding:_:)) == state)
    }

    @Test func `dirty-bitmap bodies are walked to their ends`() throws {
        let bytes = try HexVector.load("dirty-bitmap/parts")
        let chunks = try decodeEach(bytes, DirtyBitmapChunk.init(decoding:_:))
        #expect(
            chunks.map(\.bitmapName) == [
                "bm1", "bm0", nil, nil, "bm1", "bm0", "bm1", "bm0", nil,
            ]
        )
        #expect(chunks.first?.nodeName == "n0")
        #expect(chunks.map(\.byteCount).reduce(0, +) == bytes.count)

        var cursor = WireCursor()
        var ends: [Int] = []
        while cursor.offset < bytes.count {
            try DirtyBitmapChunk.walkBody(&cursor, bytes.span)
            ends.append(cursor.offset)
        }
        #expect(ends == [24, 25, bytes.count])
    }

    @Test func `a body that has not ended keeps what is walked`() throws {
        let bytes = try HexVector.load("dirty-bitmap/parts")
        for count in 0..<24 {
            var cursor = WireCursor()
            #expect(throws: WireError.self) {
                try DirtyBitmapChunk.walkBody(&cursor, bytes.span.extracting(..<count))
            }
            #expect([0, 13, 23].contains(cursor.offset) && cursor.offset <= count)
        }
        checkEveryChange(bytes, DirtyBitmapChunk.init(decoding:_:))
    }

    @Test(arguments: [0x00, 0x02, 0x03, 0x30, 0x80, 0x51, 0xff] as [UInt8])
    func `refuses flags that no source combines`(flags: UInt8) {
        let bytes = [flags] + Array(repeating: 0 as UInt8, count: 64)
        let error = #expect(throws: WireError.self) {
            try decode(bytes, DirtyBitmapChunk.init(decoding:_:))
        }
        #expect(error?.field == "dirty-bitmap flags")
    }

    @Test func `bitmap data has a limit`() {
        var bytes: [UInt8] = [0x40] + Array(repeating: 0, count: 12)
        bytes.appendBigEndian(UInt64(10_241))
        #expect(
            throws: WireError.limitExceeded(
                field: "dirty-bitmap data length",
                offset: 13,
                limit: 10_240,
                found: 10_241
            )
        ) {
            try decode(bytes, DirtyBitmapChunk.init(decoding:_:))
        }
    }
}
