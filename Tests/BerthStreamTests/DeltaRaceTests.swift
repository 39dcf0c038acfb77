import BerthMemory
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Synchronization
import Testing

/// Differences of pages that change while they are sent.
@Suite(.timeLimit(.minutes(10)))
struct DeltaRaceTests {
    private func store(_ guest: StreamGuest, at offset: Int, _ value: UInt64) {
        guest.blocks[0].base.storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
    }

    /// Sent once, the page isn't known; sent twice, its difference is too long.
    @Test(arguments: [1, 2])
    func `what arrives is what was remembered, not what memory became meanwhile`(
        _ count: Int
    ) throws {
        let guest = try StreamGuest(pageCounts: [1])
        guest.fill(0, page: 0, version: 1)
        let ends = try connection("socket")
        let writer = SequentialWriter(StreamOutput(ends.writer))
        let sender = try DeltaSender(GuestScanner(detectsZeroPages: true), cacheByteCount: 4096)
        sender.isEncoding = true
        func send() throws -> SentPages {
            var dirty = PageBitmap(pageCount: 1, repeating: true)
            var page = 0
            return try sender.send(
                guest.blocks[0],
                index: 0,
                dirty: &dirty,
                from: &page,
                limit: 1,
                to: writer
            )
        }
        // The stream is small enough for the socket to hold it.
        try guest.save(writer) {
            for version in UInt64(1)...UInt64(count) {
                for offset in stride(from: 0, to: 4096, by: 8) {
                    store(guest, at: offset, version &* 0x0101_0101_0101_0101)
                }
                try writer.beginIteration()
                #expect(try send().dataCount == 1)
                store(guest, at: 800, 99)
                try writer.endIteration()
                store(guest, at: 800, version &* 0x0101_0101_0101_0101)
                #expect(try send().unchangedCount == 1)
            }
        }
        try ends.writer.close()
        let target = try StreamGuest(like: guest)
        try load(ends.reader, into: target)
        #expect(sender.counters.overflowCount == UInt64(count - 1))
        #expect(target.digests == guest.digests)
    }

    @Test(arguments: ["pipe", "socket"])
    func `memory written while it is sent arrives with the last round`(_ kind: String) throws {
        let guest = try StreamGuest(pageCounts: [128])
        for page in 0..<128 where page % 3 > 0 { guest.fill(0, page: page, version: 1) }
        let ends = try connection(kind)
        let target = try StreamGuest(like: guest)
        let outcome = Mutex<String?>(nil)
        let reader = try NamedThread.start(name: "test-load") { [reader = ends.reader] in
            do {
                try load(reader, into: target)
                outcome.withLock { $0 = "loaded" }
            } catch {
                outcome.withLock { $0 = "\(error)" }
            }
        }
        let hammer = try Hammer(guest.blocks[0])
        defer { hammer.end() }
        try save(guest, to: ends.writer) { hammer.end() }
        reader.join()
        #expect(outcome.withLock { $0 } == "loaded")
        #expect(target.digests == guest.digests)
    }

    /// Several rounds of everything, then one with the guest at rest.
    private func save(_ guest: StreamGuest, to channel: Channel, pause: () -> Void) throws {
        let writer = SequentialWriter(StreamOutput(channel))
        // Half of the pages share a place with another.
        let sender = try DeltaSender(
            GuestScanner(detectsZeroPages: true),
            cacheByteCount: 64 * 4096
        )
        try writer.begin(
            StreamPlan(configuration: ConfigurationSection(machineName: "none")),
            blocks: guest.listed,
            earlySections: []
        )
        let block = guest.blocks[0]
        func round() throws -> SentPages {
            var dirty = PageBitmap(pageCount: block.pageCount, repeating: true)
            var page = 0
            return try sender.send(
                block,
                index: 0,
                dirty: &dirty,
                from: &page,
                limit: .max,
                to: writer
            )
        }
        var sent = SentPages()
        for number in 0..<200 {
            sender.isEncoding = number > 0
            if number % 50 == 25 {
                try sender.resize(toByteCount: number % 100 == 25 ? 32 * 4096 : 64 * 4096)
            }
            try writer.beginIteration()
            sent += try round()
            try writer.endIteration()
        }
        pause()
        #expect(sent.deltaCount > 0 && sent.unchangedCount > 0)
        try writer.beginCompletion(announced: true)
        sent += try round()
        let state = DeviceState.fresh(runState: "running", machineName: "none")
        try writer.finish(
            deviceSections: state.final.encoded(footers: true),
            description: state.description ?? []
        )
        try channel.close()
    }
}

/// Writes a block without pause, as a guest's processors would.
private final class Hammer: Sendable {
    private let stops = Atomic(false)
    private let thread = Mutex<NamedThread?>(nil)

    init(_ block: RAMBlock) throws {
        let started = try NamedThread.start(name: "test-hammer") { [self] in run(block) }
        thread.withLock { $0 = started }
    }

    /// Returns when the last write is done.
    func end() {
        stops.store(true, ordering: .relaxed)
        thread.withLock { $0 }?.join()
    }

    private func run(_ block: RAMBlock) {
        var generator = SeededGenerator(seed: 3)
        while !stops.load(ordering: .relaxed) {
            let random = generator.next()
            // Half of the pages rest.
            let page = Int(random % UInt64(block.pageCount)) / 2 * 2
            let base = block.base + page * targetPageByteCount
            if random >> 32 % 64 == 0 {
                memset(base, 0, targetPageByteCount)
            } else {
                // There and back again: what went out meanwhile mustn't be taken for what it was.
                let offset = Int(random >> 40 % 16) * 8
                base.storeBytes(of: random >> 60 & 1, toByteOffset: offset, as: UInt64.self)
            }
        }
    }
}
