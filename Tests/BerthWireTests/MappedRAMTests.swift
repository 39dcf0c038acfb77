import BerthTestSupport
import BerthWire
import Testing

@Suite struct MappedRAMTests {
    private let decoder: Decoder<MappedRAMHeader> = MappedRAMHeader.init(decoding:_:)

    @Test func `headers survive encoding`() throws {
        let header = MappedRAMHeader(bitmapOffset: 0x81, pagesOffset: 0x10_0000)
        let bytes = encoded { header.encode(into: &$0) }
        #expect(bytes.count == MappedRAMHeader.byteCount)
        try checkFeeding(bytes, decoder)
        #expect(try decode(bytes, decoder) == header)
    }

    @Test func `QEMU's layout is computed as QEMU does`() throws {
        // none -m 16, pc.ram and vga.vram of q35 -m 32: header, length, then bitmap, pages, next.
        let cases: [(headerOffset: UInt64, length: UInt64, bitmap: UInt64, pages: UInt64)] = [
            (0x65, 16 << 20, 0x81, 0x10_0000),
            (0x6f, 32 << 20, 0x8b, 0x10_0000),
            (0x210_001e, 16 << 20, 0x210_003a, 0x220_0000),
        ]
        for (headerOffset, length, bitmap, pages) in cases {
            let header = try MappedRAMHeader.layout(
                headerEnd: headerOffset + UInt64(MappedRAMHeader.byteCount),
                usedLength: length
            )
            #expect(header.bitmapOffset == bitmap)
            #expect(header.pagesOffset == pages)
            #expect(header.nextRecordOffset(usedLength: length) == pages + length)
        }
    }

    @Test func `bitmaps are whole words`() {
        #expect(MappedRAMHeader.bitmapByteCount(usedLength: 0) == 0)
        #expect(MappedRAMHeader.bitmapByteCount(usedLength: 4096) == 8)
        #expect(MappedRAMHeader.bitmapByteCount(usedLength: 64 * 4096) == 8)
        #expect(MappedRAMHeader.bitmapByteCount(usedLength: 65 * 4096) == 16)
        #expect(MappedRAMHeader.bitmapByteCount(usedLength: .max) > 0)
    }

    @Test(arguments: [
        (UInt64(1) << 63, UInt64(4096)), (.max, 4096), (0x1000, .max - 4095), (.max - 8, 0),
    ])
    func `no layout wraps around`(headerEnd: UInt64, usedLength: UInt64) {
        let error = #expect(throws: WireError.self) {
            try MappedRAMHeader.layout(headerEnd: headerEnd, usedLength: usedLength)
        }
        #expect(error?.field == "end of the block's pages")
    }

    @Test func `every layout passes validation in a file that is long enough`() throws {
        var generator = SeededGenerator()
        let seed = generator.seed
        for _ in 0..<1000 {
            let headerEnd = UInt64.random(in: 36...(1 << 40), using: &generator)
            let length = UInt64.random(in: 0...(1 << 20), using: &generator) * 4096
            let header = try MappedRAMHeader.layout(headerEnd: headerEnd, usedLength: length)
            let end = header.nextRecordOffset(usedLength: length)
            #expect(throws: Never.self, "BERTH_TEST_SEED=\(seed)") {
                try header.validate(
                    usedLength: length,
                    headerEnd: headerEnd,
                    fileByteCount: end,
                    at: 0
                )
            }
            #expect(header.pagesOffset % MappedRAMHeader.pagesAlignment == 0)
            guard length > 0 else {
                continue
            }
            #expect(throws: WireError.self, "BERTH_TEST_SEED=\(seed)") {
                try header.validate(
                    usedLength: length,
                    headerEnd: headerEnd,
                    fileByteCount: end - 1,
                    at: 0
                )
            }
        }
    }

    @Test(
        arguments: [
            (0, 0x1000, "mapped-ram bitmap offset"),  // before the header
            (0x80, 0x10, "mapped-ram pages offset"),
            (0x80, 0x1200, "mapped-ram pages offset"),  // not aligned
            (0x1008, 0x1000, "mapped-ram bitmap offset"),  // within the pages
            (0xff8, 0x1000, nil),  // just before them
            (0x5000, 0x1000, nil),  // after them
            (0x7ff9, 0x1000, "mapped-ram bitmap offset"),  // beyond the file
            (0x80, 0x5000, "mapped-ram pages offset"),
            (.max - 3, 0x1000, "mapped-ram bitmap offset"),  // wraps
            (0x80, .max - 0xfff, "mapped-ram pages offset"),
        ] as [(UInt64, UInt64, String?)]
    )
    func `regions are aligned, apart and within the file`(
        bitmap: UInt64,
        pages: UInt64,
        field: String?
    ) {
        var found: String?
        do throws(WireError) {
            try MappedRAMHeader(bitmapOffset: bitmap, pagesOffset: pages).validate(
                usedLength: 0x4000,
                headerEnd: 0x80,
                fileByteCount: 0x8000,
                at: 0x64
            )
        } catch {
            found = error.field
        }
        #expect(found == field)
    }

    @Test func `a foreign page size and a later version are refused`() {
        var bytes = encoded {
            MappedRAMHeader(bitmapOffset: 0x81, pagesOffset: 0x10_0000).encode(into: &$0)
        }
        bytes[3] = 0
        #expect((try? decode(bytes, decoder))?.version == 0)
        bytes[3] = 2
        #expect(
            throws: WireError.unsupportedVersion(
                field: "mapped-ram header version",
                offset: 0,
                supported: 0...1,
                found: 2
            )
        ) { try decode(bytes, decoder) }
        bytes[3] = 1
        bytes[10] = 0x20
        #expect(
            throws: WireError.invalidValue(
                field: "mapped-ram page size",
                offset: 4,
                expected: "4096",
                found: "8192"
            )
        ) { try decode(bytes, decoder) }
    }

    @Test func `no byte of a file is taken twice`() throws {
        var generator = SeededGenerator()
        var extents = MappedRAMExtents()
        var model: Set<UInt64> = []
        for _ in 0..<2000 {
            let start = UInt64.random(in: 0..<4000, using: &generator)
            let range = start..<(start + UInt64.random(in: 0..<20, using: &generator))
            let isFree = model.isDisjoint(with: range)
            let isTaken = (try? extents.claim(range, "pages", at: 0)) != nil
            #expect(isTaken == isFree, "\(range) BERTH_TEST_SEED=\(generator.seed)")
            if isTaken {
                model.formUnion(range)
            }
        }
    }
}
