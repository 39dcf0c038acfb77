import BerthTestSupport
import BerthWire
import Testing

@Suite struct XBZRLETests {
    private func apply(_ delta: [UInt8], to page: [UInt8]) throws(WireError) -> [UInt8] {
        var copy = page
        var span = copy.mutableSpan
        try XBZRLE.decode(delta.span, at: 0, into: &span)
        return copy
    }

    private func difference(
        from old: [UInt8],
        to new: [UInt8],
        room: Int = 4096
    ) -> [UInt8]? {
        var delta = [UInt8](repeating: 0xee, count: room + 8)
        let count = delta.withUnsafeMutableBytes { delta in
            old.withUnsafeBytes { old in
                new.withUnsafeBytes { new in
                    XBZRLE.encode(from: old, to: new, into: .init(rebasing: delta[..<room]))
                }
            }
        }
        #expect(delta.suffix(8).allSatisfy { $0 == 0xee }, "nothing behind the room is touched")
        return count.map { Array(delta.prefix($0)) }
    }

    /// The same, written byte by byte from the code's description.
    private func plainDifference(from old: [UInt8], to new: [UInt8]) -> [UInt8] {
        var delta: [UInt8] = []
        var index = 0
        while index < new.count {
            let unchanged = (index..<new.count).prefix { old[$0] == new[$0] }.count
            let changed = (index + unchanged..<new.count).prefix { old[$0] != new[$0] }
            guard !changed.isEmpty else {
                break
            }
            for length in [unchanged, changed.count] {
                if length < 0x80 {
                    delta.append(UInt8(length))
                } else {
                    delta += [UInt8(length & 0x7f) | 0x80, UInt8(length >> 7)]
                }
            }
            delta += new[changed]
            index = changed.upperBound
        }
        return delta
    }

    @Test func `applies what QEMU sent`() throws {
        let page = try apply(
            HexVector.load("xbzrle/page"),
            to: Array(repeating: 0x11, count: 4096)
        )
        var expected: [UInt8] = Array(repeating: 0x11, count: 4096)
        expected.replaceSubrange(0x10..<0x12, with: [0x8c, 0x3e])
        expected.replaceSubrange(0x800..<0x802, with: [0x47, 0x0b])
        #expect(page == expected)
    }

    @Test func `an empty difference changes nothing`() throws {
        let page: [UInt8] = Array(repeating: 7, count: 4096)
        #expect(try apply([], to: page) == page)
    }

    @Test func `writes what QEMU wrote`() throws {
        let old: [UInt8] = Array(repeating: 0x11, count: 4096)
        var new = old
        new.replaceSubrange(0x10..<0x12, with: [0x8c, 0x3e])
        new.replaceSubrange(0x800..<0x802, with: [0x47, 0x0b])
        let expected = try HexVector.load("xbzrle/page")
        #expect(difference(from: old, to: new) == expected)
    }

    @Test func `differences of random pages lead from one to the other`() throws {
        var generator = SeededGenerator()
        for round in 0..<300 {
            // Sizes that aren't whole words too, at addresses that aren't.
            let count = round % 2 == 0 ? 4096 : Int.random(in: 0...200, using: &generator)
            let old = (0..<count).map { _ in UInt8.random(in: 0...3, using: &generator) }
            let odds = [1, 3, 40, 2000][round % 4]
            let new = old.map { byte in
                Int.random(in: 0..<odds, using: &generator) == 0
                    ? byte ^ UInt8.random(in: 0...255, using: &generator) : byte
            }
            let delta = try #require(difference(from: old, to: new, room: 3 * count + 8))
            #expect(delta == plainDifference(from: old, to: new), "seed \(generator.seed)")
            #expect(try apply(delta, to: old) == new, "BERTH_TEST_SEED=\(generator.seed)")
        }
    }

    @Test func `edits of every length and place lead from one page to the other`() throws {
        let old = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        for length in [1, 2, 7, 8, 9, 31, 33, 127, 128, 129, 4000] {
            for start in [0, 1, 7, 8, 127, 128, 4096 - length] where start + length <= 4096 {
                var new = old
                for index in start..<start + length { new[index] ^= 0x55 }
                let delta = try #require(difference(from: old, to: new))
                #expect(delta == plainDifference(from: old, to: new))
                #expect(try apply(delta, to: old) == new)
            }
        }
    }

    @Test func `equal pages have no difference`() {
        let page = (0..<4096).map { UInt8(truncatingIfNeeded: $0) }
        #expect(difference(from: page, to: page, room: 0) == [])
    }

    @Test func `a difference that doesn't fit is none`() throws {
        var generator = SeededGenerator()
        for round in 0..<100 {
            let old = [UInt8](repeating: 0, count: 4096)
            let odds = [1, 2, 50][round % 3]
            let new = old.map { _ in
                UInt8(Int.random(in: 0..<odds, using: &generator) == 0 ? 1 : 0)
            }
            let delta = plainDifference(from: old, to: new)
            #expect(difference(from: old, to: new, room: delta.count) == delta)
            let less = Int.random(in: 0..<delta.count, using: &generator)
            #expect(difference(from: old, to: new, room: less) == nil, "\(generator.seed)")
        }
    }

    @Test(
        arguments: [
            [0x01],  // a length and nothing after it
            [0x80],
            [0x00, 0x00],  // an empty changed run
            [0x00, 0x01, 0xaa, 0x00, 0x01, 0xbb],  // an empty unchanged run that is not the first
            [0x00, 0x02, 0xaa],  // fewer bytes than announced
            [0x80, 0x80, 0x01, 0x01, 0xaa],  // a length of three bytes
            [0x80, 0x20, 0x01, 0xaa],  // begins behind the page
            [0xff, 0x1f, 0x02, 0xaa, 0xbb],  // ends behind the page
            [0xff, 0x7f, 0x01, 0xaa],  // the longest length
        ] as [[UInt8]]
    )
    func `refuses malformed differences`(delta: [UInt8]) {
        let error = #expect(throws: WireError.self) {
            try apply(delta, to: Array(repeating: 0, count: 4096))
        }
        #expect(error?.field == "XBZRLE data")
    }

    @Test func `random bytes never leave the page`() {
        var generator = SeededGenerator()
        for _ in 0..<20_000 {
            let count = Int.random(in: 0..<40, using: &generator)
            let delta = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let page = try? apply(delta, to: Array(repeating: 0, count: 64))
            #expect(page == nil || page?.count == 64)
        }
    }

    @Test func `the header bounds the difference by a page`() throws {
        try checkFeeding([1, 0, 9], XBZRLEHeader.init(decoding:_:))
        #expect(try decode([1, 0x10, 0], XBZRLEHeader.init(decoding:_:)).deltaByteCount == 4096)
        #expect(
            throws: WireError.limitExceeded(
                field: "XBZRLE length",
                offset: 1,
                limit: 4096,
                found: 4097
            )
        ) { try decode([1, 0x10, 1], XBZRLEHeader.init(decoding:_:)) }
        #expect(throws: WireError.unknownKind(field: "XBZRLE mark", offset: 0, found: "0x2")) {
            try decode([2, 0, 1], XBZRLEHeader.init(decoding:_:))
        }
    }
}
