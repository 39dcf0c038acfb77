import BerthMemory
import BerthStream
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

/// Pages that are sent again as differences, and what the other side makes of them.
@Suite(.timeLimit(.minutes(10)))
struct DeltaSenderTests {
    /// A guest on its way through a sender into a file.
    private final class Save {
        let guest: StreamGuest
        let file: StreamFile
        let writer: SequentialWriter
        let sender: DeltaSender

        init(
            _ guest: StreamGuest,
            cachePageCount: Int = 1024,
            detectsZeroPages: Bool = true
        ) throws {
            self.guest = guest
            file = try StreamFile()
            writer = SequentialWriter(StreamOutput(try file.channel()))
            sender = try DeltaSender(
                GuestScanner(detectsZeroPages: detectsZeroPages),
                cacheByteCount: UInt64(cachePageCount * targetPageByteCount)
            )
            try writer.begin(
                StreamPlan(configuration: ConfigurationSection(machineName: "none")),
                blocks: guest.listed,
                earlySections: []
            )
        }

        /// Sends pages in one iteration; all of them if none are given.
        @discardableResult
        func round(_ pages: [(block: Int, page: Int)]? = nil) throws -> SentPages {
            try writer.beginIteration()
            let sent = try send(pages)
            try writer.endIteration()
            return sent
        }

        func send(_ pages: [(block: Int, page: Int)]? = nil) throws -> SentPages {
            var sent = SentPages()
            for (index, block) in guest.blocks.enumerated() {
                var dirty = PageBitmap(pageCount: block.pageCount, repeating: pages == nil)
                for (_, page) in pages?.filter({ $0.block == index }) ?? [] {
                    dirty.set(page..<page + 1, to: true)
                }
                var next = 0
                while next < block.pageCount {
                    sent += try sender.send(
                        block,
                        index: index,
                        dirty: &dirty,
                        from: &next,
                        limit: 5,
                        to: writer
                    )
                }
                #expect(dirty.count == 0)
            }
            return sent
        }

        /// Ends the stream, and reads it into another guest.
        func load() throws -> StreamGuest {
            try writer.beginCompletion(announced: true)
            let state = DeviceState.fresh(runState: "running", machineName: "none")
            try writer.finish(
                deviceSections: state.final.encoded(footers: true),
                description: state.description ?? []
            )
            let target = try StreamGuest(like: guest)
            try BerthStreamTests.load(try file.channel(), into: target)
            return target
        }
    }

    private func store(_ guest: StreamGuest, _ block: Int, at offset: Int, _ value: UInt64) {
        guest.blocks[block].base.storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
    }

    @Test func `a page goes whole, whole again into the cache, and then as a difference`() throws {
        let guest = try StreamGuest(pageCounts: [3])
        guest.fill(0, page: 1, version: 1)
        let save = try Save(guest)
        #expect(try save.round().dataCount == 1)
        save.sender.isEncoding = true
        store(guest, 0, at: 4096 + 64, 1)
        let whole = try save.round([(0, 1)])
        #expect(whole.dataCount == 1 && save.sender.counters.missCount == 1)
        store(guest, 0, at: 4096 + 64, ~0)
        let end = try save.file.bytes.count
        let delta = try save.round([(0, 1)])
        #expect(delta.deltaCount == 1 && delta.count == 1)
        // Skip 64, write 8; and the mark and length before it.
        #expect(delta.deltaByteCount == 3 + 1 + 1 + 8)
        let record = try save.file.bytes.dropFirst(end + 5).prefix(8 + 13)
        #expect(
            Array(record) == [0, 0, 0, 0, 0, 0, 0x10, 0x60, 1, 0, 10, 64, 8]
                + [UInt8](repeating: 0xff, count: 8)
        )
        let counters = save.sender.counters
        #expect(counters.pageCount == 1 && counters.byteCount == 13)
        #expect(counters.cacheByteCount == 4 << 20)
        #expect(try save.load().digests == guest.digests)
    }

    @Test func `an unchanged page takes no bytes`() throws {
        let guest = try StreamGuest(pageCounts: [2])
        guest.fill(0, page: 0, version: 1)
        let save = try Save(guest)
        save.sender.isEncoding = true
        try save.round()
        let before = save.writer.output.position
        let sent = try save.round([(0, 0)])
        #expect(sent.unchangedCount == 1 && sent.count == 1 && sent.deltaByteCount == 0)
        // A part's header, its end word and footer.
        #expect(save.writer.output.position - before == 5 + 8 + 5)
        #expect(save.sender.counters.pageCount == 1)
        #expect(try save.load().digests == guest.digests)
    }

    @Test func `a record after an unchanged page of another block names its block`() throws {
        let guest = try StreamGuest(pageCounts: [2, 2])
        for block in 0...1 {
            for page in 0...1 { guest.fill(block, page: page, version: 1) }
        }
        let save = try Save(guest)
        save.sender.isEncoding = true
        try save.round()
        // Block 0 sends nothing, then something; block 1 something, then nothing.
        store(guest, 0, at: 4096, 5)
        store(guest, 1, at: 8, 5)
        #expect(try save.round().unchangedCount == 2)
        store(guest, 0, at: 16, 5)
        try save.round()
        #expect(try save.load().digests == guest.digests)
    }

    @Test func `a page of which everything changed goes whole`() throws {
        let guest = try StreamGuest(pageCounts: [1])
        guest.fill(0, page: 0, version: 1)
        let save = try Save(guest)
        save.sender.isEncoding = true
        try save.round()
        for offset in stride(from: 0, to: 4096, by: 8) {
            store(guest, 0, at: offset, 0x0102_0304_0506_0708 &* UInt64(offset + 1) | 0xff)
        }
        let sent = try save.round()
        #expect(sent.dataCount == 1)
        #expect(save.sender.counters.overflowCount == 1)
        #expect(save.sender.counters.byteCount == 4096)
        // The next difference is against what was just sent.
        store(guest, 0, at: 80, 1)
        #expect(try save.round().deltaCount == 1)
        #expect(try save.load().digests == guest.digests)
    }

    @Test(arguments: [true, false])
    func `a page that became zero is zero on both sides`(_ detectsZeroPages: Bool) throws {
        let guest = try StreamGuest(pageCounts: [2])
        guest.fill(0, page: 0, version: 1)
        let save = try Save(guest, detectsZeroPages: detectsZeroPages)
        save.sender.isEncoding = true
        try save.round()
        guest.fill(0, page: 0, version: 0)
        let zero = try save.round([(0, 0)])
        #expect(detectsZeroPages ? zero.zeroCount == 1 : zero.deltaCount == 1)
        store(guest, 0, at: 4088, 5)
        #expect(try save.round([(0, 0)]).deltaCount == 1)
        #expect(try save.load().digests == guest.digests)
    }

    @Test func `a page keeps its place for the next round and loses it after`() throws {
        // Pages 0 and 4 share a place in a cache of four.
        let guest = try StreamGuest(pageCounts: [8])
        for page in [0, 4] { guest.fill(0, page: page, version: 1) }
        let save = try Save(guest, cachePageCount: 4)
        save.sender.isEncoding = true
        try save.round([(0, 0)])
        store(guest, 0, at: 4 * 4096, 3)
        #expect(try save.round([(0, 4)]).dataCount == 1)
        store(guest, 0, at: 8, 3)
        #expect(try save.round([(0, 0)]).deltaCount == 1, "0 has kept its place")
        for value in UInt64(10)...12 {
            store(guest, 0, at: 4 * 4096, value)
            try save.round([(0, 4)])
        }
        #expect(save.sender.counters.pageCount == 2, "by now 4 has the place")
        store(guest, 0, at: 16, 3)
        #expect(try save.round([(0, 0)]).dataCount == 1)
        #expect(try save.load().digests == guest.digests)
    }

    @Test func `the cache is resized while pages are sent`() throws {
        let guest = try StreamGuest(pageCounts: [64])
        for page in 0..<64 { guest.fill(0, page: page, version: 1) }
        let save = try Save(guest, cachePageCount: 16)
        save.sender.isEncoding = true
        try save.round()
        for page in 0..<64 { store(guest, 0, at: page * 4096, 7) }
        #expect(try save.round().deltaCount == 16)
        try save.sender.resize(toByteCount: 65 * 4096)
        #expect(save.sender.counters.cacheByteCount == 64 * 4096)
        for page in 0..<64 { store(guest, 0, at: page * 4096, 8) }
        #expect(try save.round().dataCount == 64, "it is empty")
        for page in 0..<64 { store(guest, 0, at: page * 4096, 9) }
        #expect(try save.round().deltaCount == 64)
        try save.sender.resize(toByteCount: 64 * 4096)
        for page in 0..<64 { store(guest, 0, at: page * 4096, 10) }
        #expect(try save.round().deltaCount == 64, "the same size changes nothing")
        #expect(try save.load().digests == guest.digests)
    }

    @Test func `a cache of any size is made or refused`() throws {
        let scanner = GuestScanner(detectsZeroPages: true)
        for (asked, given) in [(0, 4096), (4095, 4096), (4096, 4096), (12287, 8192)] {
            let sender = try DeltaSender(scanner, cacheByteCount: UInt64(asked))
            #expect(sender.counters.cacheByteCount == UInt64(given))
        }
        let sender = try DeltaSender(scanner, cacheByteCount: 8192)
        let error = #expect(throws: StreamError.self) {
            // More than an address space of 47 bits has with all that is in it.
            for size in [UInt64(1) << 47, .max] { try sender.resize(toByteCount: size) }
            let senders = try (0..<4).map { _ in
                try DeltaSender(scanner, cacheByteCount: 1 << 46)
            }
            withExtendedLifetime(senders) {}
        }
        #expect(error?.code == .limitExceeded)
        #expect(error?.hint?.contains("xbzrle-cache-size") == true)
    }

    @Test func `rates are those of the period`() throws {
        let guest = try StreamGuest(pageCounts: [10])
        for page in 0..<10 { guest.fill(0, page: page, version: 1) }
        let save = try Save(guest)
        save.sender.isEncoding = true
        try save.round()
        save.sender.closePeriod()
        #expect(save.sender.counters.missRate == 1)
        #expect(save.sender.counters.encodingRate == 0)
        for page in 0..<5 { store(guest, 0, at: page * 4096, 7 | 7 << 56) }
        try save.round()
        save.sender.closePeriod()
        let counters = save.sender.counters
        #expect(counters.missRate == 0)
        #expect(counters.encodingRate == 10 * 4096 / Double(counters.byteCount))
        // Nothing was sent: the last rates stay.
        save.sender.closePeriod()
        #expect(save.sender.counters == counters)
        _ = try save.load()
    }

    @Test func `a mapped image gets whole pages`() throws {
        let guest = try StreamGuest(pageCounts: [2])
        let file = try StreamFile()
        let writer = MappedWriter(StreamOutput(try file.channel()))
        let sender = try DeltaSender(GuestScanner(detectsZeroPages: true), cacheByteCount: 8192)
        sender.isEncoding = true
        try guest.save(writer) {
            for value in UInt64(1)...3 {
                store(guest, 0, at: 4096, value)
                var dirty = PageBitmap(pageCount: 2, repeating: true)
                var page = 0
                let sent = try sender.send(
                    guest.blocks[0],
                    index: 0,
                    dirty: &dirty,
                    from: &page,
                    limit: 2,
                    to: writer
                )
                #expect(sent.dataCount == 1 && sent.zeroCount == 1)
            }
        }
        let target = try StreamGuest(like: guest)
        try load(try file.channel(), into: target)
        #expect(target.digests == guest.digests)
    }

    @Test(arguments: [1, 4, 32, 1024])
    func `random edits arrive, however small the cache`(_ cachePageCount: Int) throws {
        var generator = SeededGenerator()
        let guest = try StreamGuest(pageCounts: [97, 31, 1])
        let save = try Save(guest, cachePageCount: cachePageCount)
        try save.round()
        save.sender.isEncoding = true
        var sent = SentPages()
        for _ in 0..<60 {
            var dirty: [(block: Int, page: Int)] = []
            for _ in 0..<40 {
                let block = Int.random(in: 0..<3, using: &generator)
                let page = Int.random(in: 0..<guest.blocks[block].pageCount, using: &generator)
                edit(guest, block, page, &generator)
                dirty.append((block, page))
            }
            sent += try save.round(dirty)
        }
        #expect(sent.deltaCount > 0 && sent.zeroCount > 0 && sent.dataCount > 0)
        #expect(try save.load().digests == guest.digests, "BERTH_TEST_SEED=\(generator.seed)")
    }

    private func edit(
        _ guest: StreamGuest,
        _ block: Int,
        _ page: Int,
        _ generator: inout SeededGenerator
    ) {
        let base = guest.blocks[block].base + page * 4096
        switch Int.random(in: 0..<8, using: &generator) {
        case 0:
            memset(base, 0, 4096)
        case 1:
            for offset in stride(from: 0, to: 4096, by: 8) {
                base.storeBytes(of: generator.next(), toByteOffset: offset, as: UInt64.self)
            }
        case 2:
            break
        default:
            for _ in 0..<Int.random(in: 1...9, using: &generator) {
                let offset = Int.random(in: 0..<4096, using: &generator)
                base.storeBytes(
                    of: UInt8.random(in: 0...255, using: &generator),
                    toByteOffset: offset,
                    as: UInt8.self
                )
            }
        }
    }
}
