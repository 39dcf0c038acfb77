import BerthWire
import Testing

@Suite struct RAMTests {
    @Test func `exactly one flag beside continue is a word`() throws {
        let kinds: [UInt64: RAMWord.Kind] = [
            0x002: .zero, 0x004: .blockList, 0x008: .page, 0x010: .endOfSection, 0x040: .xbzrle,
            0x080: .hook, 0x200: .multifdFlush,
        ]
        for raw in 0..<UInt64(4096) {
            let word = RAMWord(rawValue: 0x7000 | raw)
            #expect(word.offset == 0x7000)
            #expect(word.continuesBlock == (raw & 0x20 != 0))
            #expect((try? word.kind(at: 0)) == kinds[raw & ~0x20])
        }
        #expect(throws: WireError.unknownKind(field: "RAM word's flags", offset: 9, found: "0xa")) {
            try RAMWord(rawValue: 0x300a).kind(at: 9)
        }
    }

    @Test func `words survive encoding`() throws {
        let word = RAMWord(offset: 0x3000, flags: [.page, .continues])
        let bytes = encoded { word.encode(into: &$0) }
        #expect(bytes == [0, 0, 0, 0, 0, 0, 0x30, 0x28])
        try checkFeeding(bytes, RAMWord.init(decoding:_:))
        #expect(try decode(bytes, RAMWord.init(decoding:_:)) == word)
    }

    @Test func `block records carry what the capabilities say`() throws {
        let plain = RAMBlockRecord(name: "pc.ram", usedLength: 0x20_0000)
        let full = RAMBlockRecord(
            name: "pc.ram",
            usedLength: 0x20_0000,
            hostPageByteCount: 0x20_0000,
            guestAddress: 0x1_0000_0000
        )
        let plainBytes = encoded { plain.encode(into: &$0) }
        let fullBytes = encoded { full.encode(into: &$0) }
        #expect(plainBytes == [6] + Array("pc.ram".utf8) + [0, 0, 0, 0, 0, 0x20, 0, 0])
        try checkFeeding(plainBytes) { cursor, bytes throws(WireError) in
            try RAMBlockRecord(decoding: &cursor, bytes)
        }
        try checkFeeding(fullBytes) { cursor, bytes throws(WireError) in
            let record = try RAMBlockRecord(
                decoding: &cursor,
                bytes,
                optional: [.hostPageSize, .guestAddress]
            )
            return record
        }
        var cursor = WireCursor()
        let decoded = try RAMBlockRecord(
            decoding: &cursor,
            fullBytes.span,
            optional: [.hostPageSize, .guestAddress]
        )
        #expect(decoded == full)
    }

    @Test(arguments: [1, 4095, 0x20_0800, 1 << 60, UInt64.max] as [UInt64])
    func `a block's length is whole pages below the limit`(length: UInt64) {
        var bytes: [UInt8] = [3] + Array("ram".utf8)
        bytes.appendBigEndian(length)
        let error = #expect(throws: WireError.self) {
            try decode(bytes) { cursor, bytes throws(WireError) in
                try RAMBlockRecord(decoding: &cursor, bytes)
            }
        }
        #expect(error?.field == "block length")
        #expect(error?.offset == 4)
    }

    @Test func `the list ends exactly at its total`() throws {
        var budget = try RAMBlockListBudget(total: 0x5000, at: 40)
        #expect(!budget.isComplete)
        try budget.account(for: .init(name: "a", usedLength: 0x4000), at: 48)
        #expect(budget.remainingByteCount == 0x1000)
        let error = #expect(throws: WireError.self) {
            try budget.account(for: .init(name: "b", usedLength: 0x2000), at: 60)
        }
        #expect(error?.field == "length of block 'b'")
        try budget.account(for: .init(name: "b", usedLength: 0x1000), at: 60)
        #expect(budget.isComplete)
        #expect(try RAMBlockListBudget(total: 0, at: 0).isComplete)
    }

    @Test func `the list's total and its blocks have limits`() throws {
        #expect(
            throws: WireError.limitExceeded(
                field: "RAM total",
                offset: 8,
                limit: 1 << 46,
                found: 1 << 60
            )
        ) {
            try RAMBlockListBudget(total: 1 << 60, at: 8)
        }
        var budget = try RAMBlockListBudget(total: 0x1000, at: 0)
        let empty = RAMBlockRecord(name: "a", usedLength: 0)
        for _ in 0..<Limits.ramBlockCount {
            try budget.account(for: empty, at: 0)
        }
        #expect(
            throws: WireError.limitExceeded(
                field: "block count",
                offset: 3,
                limit: 4096,
                found: 4097
            )
        ) {
            try budget.account(for: empty, at: 3)
        }
    }
}
