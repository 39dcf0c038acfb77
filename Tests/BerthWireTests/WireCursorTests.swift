import BerthWire
import Testing

@Suite struct WireCursorTests {
    @Test func `reads integers in network byte order`() throws {
        let bytes: [UInt8] = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08]
        var cursor = WireCursor()
        #expect(try cursor.u8(bytes.span, "field") == 0x01)
        #expect(try cursor.be16(bytes.span, "field") == 0x0203)
        #expect(try cursor.be32(bytes.span, "field") == 0x0405_0607)
        #expect(cursor.offset == 7)
        cursor.offset = 0
        #expect(try cursor.be64(bytes.span, "field") == 0x0102_0304_0506_0708)
    }

    @Test func `says how many bytes the span must have`() {
        let bytes: [UInt8] = [1, 2, 3]
        var cursor = WireCursor(offset: 2, base: 1000)
        #expect(throws: WireError.truncated(field: "field", offset: 1002, needed: 6)) {
            try cursor.be32(bytes.span, "field")
        }
        #expect(cursor.offset == 2)
    }

    @Test func `stays safe beyond the end of the span`() {
        let bytes: [UInt8] = [1]
        var cursor = WireCursor(offset: 5000)
        #expect(throws: WireError.truncated(field: "field", offset: 5000, needed: 5001)) {
            try cursor.u8(bytes.span, "field")
        }
        #expect(throws: WireError.truncated(field: "field", offset: 5000, needed: Int.max)) {
            try cursor.skip(Int.max, bytes.span, "field")
        }
    }

    @Test func `reads names of printable bytes only`() throws {
        let name: [UInt8] = [3] + Array("ram".utf8)
        #expect(
            try decode(name) { cursor, bytes throws(WireError) in
                try cursor.cstr(bytes, "name")
            } == "ram"
        )

        for bytes in [[0], [3, 0x61, 0x0a, 0x62], [2, 0x61, 0x7f], [1, 0xc3]] as [[UInt8]] {
            var cursor = WireCursor()
            let error = #expect(throws: WireError.self) { try cursor.cstr(bytes.span, "name") }
            guard case .invalidValue(field: "name", _, _, _)? = error else {
                Issue.record("\(bytes) gave \(String(describing: error))")
                continue
            }
            #expect(cursor.offset == 0)
        }
    }

    @Test func `describes each error in one phrase with its place`() {
        let errors: [(WireError, String)] = [
            (
                .truncated(field: "section id", offset: 31, needed: 40),
                "data ends within section id at offset 0x1f"
            ),
            (
                .badMagic(field: "stream magic", offset: 0, expected: 0x5145_564d, found: 1),
                "stream magic at offset 0x0: expected 0x5145564d, found 0x1"
            ),
            (
                .unsupportedVersion(field: "stream version", offset: 4, supported: 3...3, found: 2),
                "stream version at offset 0x4: version 2 is not supported, only 3 is"
            ),
            (
                .limitExceeded(field: "capability count", offset: 9, limit: 64, found: 65),
                "capability count at offset 0x9: 65 is above the limit of 64"
            ),
            (
                .unknownKind(field: "command code", offset: 16, found: "0xc"),
                "unknown command code 0xc at offset 0x10"
            ),
            (
                .invalidValue(field: "block length", offset: 2, expected: "more", found: "less"),
                "block length at offset 0x2: expected more, found less"
            ),
        ]
        for (error, text) in errors {
            #expect(error.description == text)
            let place = " at offset 0x\(String(error.offset, radix: 16))"
            #expect(error.what == text.replacing(place, with: "") && error.what != text)
            #expect(text.contains(error.field))
        }
    }
}
