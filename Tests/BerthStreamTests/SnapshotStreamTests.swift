import BerthMemory
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

/// Background snapshots: pages in any order, from memory that isn't the guest's, and no end.
@Suite(.timeLimit(.minutes(10)))
struct SnapshotStreamTests {
    private let piecePageCount = 16

    /// Sends every page once, in pieces of random order that are copied into one buffer.
    private func saveSnapshot(
        of guest: StreamGuest,
        _ writer: any GuestWriter,
        _ generator: inout SeededGenerator
    ) throws {
        try writer.begin(
            StreamPlan(configuration: ConfigurationSection(machineName: "none")),
            blocks: guest.listed,
            earlySections: []
        )
        var pieces: [(block: Int, pages: Range<Int>)] = []
        for (index, block) in guest.blocks.enumerated() {
            for page in stride(from: 0, to: block.pageCount, by: piecePageCount) {
                pieces.append((index, page..<min(page + piecePageCount, block.pageCount)))
            }
        }
        pieces.shuffle(using: &generator)
        let staging = UnsafeMutableRawBufferPointer.allocate(
            byteCount: piecePageCount * targetPageByteCount,
            alignment: targetPageByteCount
        )
        defer { staging.deallocate() }
        let scanner = GuestScanner(detectsZeroPages: true)
        for part in stride(from: 0, to: pieces.count, by: 5) {
            try writer.beginIteration()
            for (block, pages) in pieces[part..<min(part + 5, pieces.count)] {
                let base = try #require(staging.baseAddress)
                let offset = pages.lowerBound * targetPageByteCount
                let byteCount = pages.count * targetPageByteCount
                memcpy(base, guest.blocks[block].base + offset, byteCount)
                let sent = try scanner.send(
                    base,
                    byteCount: byteCount,
                    block: block,
                    offset: offset,
                    to: writer
                )
                #expect(sent.count == pages.count)
                try writer.settle()
                // The buffer is the caller's again.
                memset(base, 0xee, staging.count)
            }
            try writer.endIteration()
        }
        let state = DeviceState.fresh(runState: "running", machineName: "none")
        try writer.finish(
            deviceSections: state.final.encoded(footers: true),
            description: state.description ?? [],
            closesMemory: false
        )
    }

    private func guest(_ generator: inout SeededGenerator) throws -> StreamGuest {
        let guest = try StreamGuest(pageCounts: [700, 64, 33, 1])
        for (index, block) in guest.blocks.enumerated() {
            for page in 0..<block.pageCount where Bool.random(using: &generator) {
                guest.fill(index, page: page, version: 1)
            }
        }
        return guest
    }

    @Test(arguments: StreamLayout.allCases)
    func `a file gives equal memory`(_ layout: StreamLayout) throws {
        var generator = SeededGenerator()
        let guest = try guest(&generator)
        let file = try StreamFile()
        try saveSnapshot(of: guest, layout.writer(StreamOutput(try file.channel())), &generator)
        let target = try StreamGuest(like: guest)
        let stream = try load(try file.channel(), into: target)
        #expect(target.digests == guest.digests, "BERTH_TEST_SEED=\(generator.seed)")
        #expect(!stream.hadSwitchoverStart)
        #expect(stream.deviceState.globalState?.runState == "running")
    }

    @Test(arguments: ["pipe", "socket"])
    func `a connection gives equal memory`(_ kind: String) throws {
        var generator = SeededGenerator()
        let guest = try guest(&generator)
        let ends = try connection(kind)
        let target = try StreamGuest(like: guest)
        let thread = try NamedThread.start(name: "test-load") { [reader = ends.reader] in
            // What goes wrong here shows in the memory.
            _ = try? load(reader, into: target)
        }
        try saveSnapshot(of: guest, SequentialWriter(StreamOutput(ends.writer)), &generator)
        try ends.writer.close()
        thread.join()
        #expect(target.digests == guest.digests, "BERTH_TEST_SEED=\(generator.seed)")
    }

    @Test func `the RAM section has parts and no end`() throws {
        let guest = try StreamGuest(pageCounts: [1])
        let file = try StreamFile()
        let writer = SequentialWriter(StreamOutput(try file.channel()))
        try writer.begin(
            StreamPlan(configuration: ConfigurationSection(machineName: "none")),
            blocks: guest.listed,
            earlySections: []
        )
        try guest.iterate(writer)
        let start = Int(writer.output.position)
        try writer.finish(deviceSections: [], description: [], closesMemory: false)
        // The end of the stream, and a description of no bytes.
        #expect(try Array(file.bytes.dropFirst(start)) == [0, 6, 0, 0, 0, 0])
        let tail = [UInt8](arrayLiteral: 0, 0, 0, 0, 0, 0, 0, 0x10, 0x7e, 0, 0, 0, 1)
        #expect(try Array(file.bytes.prefix(start).suffix(13)) == tail)
    }

    @Test(arguments: StreamLayout.allCases)
    func `a guest without memory has a snapshot without parts`(_ layout: StreamLayout) throws {
        let guest = try StreamGuest(pageCounts: [])
        let file = try StreamFile()
        var generator = SeededGenerator()
        try saveSnapshot(of: guest, layout.writer(StreamOutput(try file.channel())), &generator)
        #expect(try load(try file.channel(), into: guest).blocks.isEmpty)
    }

    @Test func `to settle costs a file no write`() throws {
        let guest = try StreamGuest(pageCounts: [4])
        for page in 0..<4 { guest.fill(0, page: page, version: 1) }
        let output = StreamOutput(try StreamFile().channel())
        let writer = SequentialWriter(output)
        try writer.begin(
            StreamPlan(configuration: ConfigurationSection(machineName: "none")),
            blocks: guest.listed,
            earlySections: []
        )
        try writer.beginIteration()
        try guest.send(writer)
        try writer.settle()
        #expect(output.transferredByteCount == 0 && output.position > 4 * 4096)
        try writer.endIteration()
        #expect(output.transferredByteCount == output.position)
    }
}
