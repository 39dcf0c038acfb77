import BerthTestSupport
import BerthWire
import Testing

@Suite struct SealTests {
    /// What the vectors say.
    private let header = SealHeader(
        algorithm: .crc32c,
        stream: 0x67..<0x1f03,
        blocks: [("pc.ram", 0x80_0000), ("vga", 0x3000)],
        parts: [
            part(.configuration, "configuration", 0, 9, [0x11, 0x22, 0x33, 0x44]),
            part(.section, "timer", 0, 36, [0x55, 0x66, 0x77, 0x88]),
            part(.section, "cpu", 1, 1842, [0x99, 0xaa, 0xbb, 0xcc]),
            part(.description, "description", 0, 823, [0xdd, 0xee, 0xff, 0x00]),
            part(.map, "pc.ram", 0, 264, [0x01, 0x02, 0x03, 0x04]),
        ]
    )
    private let place: UInt64 = 0x2000

    private static func part(
        _ kind: SealedPart.Kind,
        _ name: String,
        _ instance: UInt32,
        _ byteCount: UInt64,
        _ digest: [UInt8]
    ) -> SealedPart {
        SealedPart(
            kind: kind,
            name: name,
            instance: instance,
            byteCount: byteCount,
            digest: digest
        )
    }

    private func decoded(_ bytes: [UInt8]) throws(WireError) -> SealHeader {
        try SealHeader(decoding: bytes.span, at: place, sealByteCount: header.byteCount)
    }

    private func footer(_ bytes: [UInt8], fileByteCount: UInt64) throws(WireError) -> SealFooter {
        var cursor = WireCursor(base: fileByteCount - 32)
        return try SealFooter(decoding: &cursor, bytes.span, fileByteCount: fileByteCount)
    }

    /// The same header with some bytes replaced and a checksum that fits.
    private func changed(_ offset: Int, _ bytes: [UInt8]) throws -> [UInt8] {
        var copy = Array(try HexVector.load("seal/header").dropLast(4))
        copy.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        copy.appendBigEndian(CRC32C.checksum(copy))
        return copy
    }

    @Test func `a header is encoded and decoded as in the vector`() throws {
        let vector = try HexVector.load("seal/header")
        var bytes: [UInt8] = []
        header.encode(into: &bytes)
        #expect(bytes == vector)
        #expect(try decoded(vector) == header)
        #expect(try SealHeader.byteCount(peeking: WireCursor(), vector.span) == vector.count)
        #expect(header.offset == place)
        #expect(header.blocks.map(\.tableOffset) == [0x1000, 0x3000])
        #expect(header.byteCount == 0x4020)
    }

    @Test func `the end mark is encoded and decoded as in the vector`() throws {
        let vector = try HexVector.load("seal/footer")
        let mark = SealFooter(offset: place, byteCount: header.byteCount)
        var bytes: [UInt8] = []
        mark.encode(into: &bytes)
        #expect(bytes == vector)
        #expect(bytes.count == SealFooter.byteCount)
        #expect(try footer(vector, fileByteCount: 0x6020) == mark)
    }

    @Test func `every changed bit of a header is noticed`() throws {
        let vector = try HexVector.load("seal/header")
        for bit in 0..<vector.count * 8 {
            var bytes = vector
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: WireError.self, "bit \(bit)") { try decoded(bytes) }
        }
        for count in vector.indices {
            #expect(throws: WireError.self) { try decoded(Array(vector[..<count])) }
        }
        #expect(throws: WireError.self) { try decoded(vector + [0]) }
    }

    @Test func `every changed bit of an end mark is noticed`() throws {
        let vector = try HexVector.load("seal/footer")
        for bit in 0..<vector.count * 8 {
            var bytes = vector
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: WireError.self, "bit \(bit)") {
                try footer(bytes, fileByteCount: 0x6020)
            }
        }
        for count in vector.indices {
            #expect(throws: WireError.self) {
                try footer(Array(vector[..<count]), fileByteCount: 0x6020)
            }
        }
    }

    @Test func `an end mark of another file's length is refused`() throws {
        let vector = try HexVector.load("seal/footer")
        for byteCount: UInt64 in [32, 0x601f, 0x6021, .max] {
            #expect(throws: WireError.self) { try footer(vector, fileByteCount: byteCount) }
        }
        var bytes: [UInt8] = []
        SealFooter(offset: .max - 4095, byteCount: .max).encode(into: &bytes)
        #expect(throws: WireError.self) { try footer(bytes, fileByteCount: 0x6020) }
        bytes = []
        SealFooter(offset: 0x6000, byteCount: 32).encode(into: &bytes)
        #expect(throws: WireError.self) { try footer(bytes, fileByteCount: 0x6020) }
    }

    /// Headers whose checksum is right and whose claims aren't.
    @Test(arguments: [
        (12, [0, 0, 0, 9] as [UInt8], "unknown seal's algorithm 9 at offset 0x200c"),
        (8, [0, 0, 0, 2], "seal's version at offset 0x2008"),
        (16, [0, 0, 0x20, 0], "seal's page size at offset 0x2010"),
        (20, [0, 0, 0, 60], "seal's header length at offset 0x2014"),
        (20, [0xff, 0xff, 0xff, 0xff], "seal's header length at offset 0x2014"),
        (24, [0, 0, 0, 0, 0, 0, 0x1f, 0x04], "sealed stream's place at offset 0x2018"),
        (32, [0, 0, 0, 0, 0, 0, 0x20, 0x01], "sealed stream's place at offset 0x2018"),
        (32, [0, 0, 0, 0, 0, 0, 0x10, 0x00], "sealed stream's place at offset 0x2018"),
        (40, [0, 0, 0, 0, 0, 0, 0x40, 0x21], "seal's length at offset 0x2028"),
        (48, [0, 0, 0x10, 0x01], "sealed blocks at offset 0x2030"),
        (52, [0, 1, 0, 1], "sealed parts at offset 0x2034"),
        (52, [0, 0, 0, 6], "unknown kind of a sealed part"),
        (52, [0, 0, 0, 4], "seal's header length at offset 0x2014"),
        (56, [0], "sealed block at offset 0x2038"),
        (57, [0x0a], "sealed block at offset 0x2039"),
        (63, [0, 0, 0, 0, 0, 0x80, 0, 1], "sealed block's length at offset 0x203f"),
        (63, [0xff, 0, 0, 0, 0, 0, 0, 0], "sealed block's length at offset 0x203f"),
        (63, [0, 0, 0x40, 0, 0, 0, 0, 0], "sealed block's table at offset 0x2047"),
        (71, [0, 0, 0, 0, 0, 0, 0, 0], "sealed block's table at offset 0x2047"),
        (71, [0, 0, 0, 0, 0, 0, 0x10, 1], "sealed block's table at offset 0x2047"),
        (71, [0, 0, 0, 0, 0, 0, 0x20, 0], "sealed block's table at offset 0x205b"),
        (71, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf0, 0], "sealed block's table"),
        (99, [5], "unknown kind of a sealed part 5 at offset 0x2063"),
    ])
    func `a claim that can't be is refused`(
        _ offset: Int,
        _ bytes: [UInt8],
        _ expected: String
    ) throws {
        let header = try changed(offset, bytes)
        do throws(WireError) {
            _ = try decoded(header)
            Issue.record("the header was taken")
        } catch {
            #expect(error.description.hasPrefix(expected), "\(error)")
        }
    }

    @Test func `the checksum is CRC32C`() {
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xe306_9283)
        #expect(CRC32C.checksum([]) == 0)
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(CRC32C.checksum([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
        #expect(CRC32C.checksum((0..<32).map { UInt8($0) }) == 0x46dd_794e)
        let text = Array("123456789".utf8)
        for middle in 0...9 {
            let first = CRC32C.checksum(Array(text[..<middle]))
            let both = text[middle...].withUnsafeBytes { CRC32C.checksum($0, after: first) }
            #expect(both == 0xe306_9283)
        }
    }
}
