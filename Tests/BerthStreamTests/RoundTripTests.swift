import BerthMemory
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

/// What a writer wrote a reader turns into the same memory.
@Suite(.timeLimit(.minutes(10)))
struct RoundTripTests {
    /// How the pages of a guest can lie.
    enum Pattern: String, CaseIterable {
        case zero, data, alternating, runs, random

        func isData(_ page: Int, _ generator: inout SeededGenerator) -> Bool {
            switch self {
            case .zero: false
            case .data: true
            case .alternating: page % 2 == 1
            case .runs: page / 5 % 2 == 0
            case .random: Bool.random(using: &generator)
            }
        }
    }

    private func guest(_ pattern: Pattern) throws -> StreamGuest {
        var generator = SeededGenerator(seed: 7)
        let guest = try StreamGuest(pageCounts: [700, 64, 65, 1])
        for (index, block) in guest.blocks.enumerated() {
            for page in 0..<block.pageCount where pattern.isData(page, &generator) {
                guest.fill(index, page: page, version: 1)
            }
        }
        return guest
    }

    @Test(arguments: StreamLayout.allCases, Pattern.allCases)
    func `a file gives equal memory`(_ layout: StreamLayout, _ pattern: Pattern) throws {
        for offset in [0, 0x5000, 0x12345] {
            let guest = try guest(pattern)
            let file = try StreamFile()
            let channel = try file.channel(at: offset)
            let writer = layout.writer(StreamOutput(channel, position: UInt64(offset)))
            try guest.save(writer)

            let target = try StreamGuest(like: guest)
            let stream = try load(try file.channel(at: offset), into: target)
            #expect(target.digests == guest.digests)
            #expect(stream.blocks == guest.listed)
            #expect(stream.hadSwitchoverStart && !stream.expectsVerdict)
            #expect(stream.deviceState.globalState?.runState == "running")
            #expect(stream.progress.totalByteCount == 830 * 4096)
            let pages = stream.progress.dataPageCount + stream.progress.zeroPageCount
            #expect(pages == 830)
        }
    }

    @Test(arguments: ["pipe", "socket"], Pattern.allCases)
    func `a connection gives equal memory`(_ kind: String, _ pattern: Pattern) throws {
        let guest = try guest(pattern)
        let ends = try connection(kind)
        let writer = ends.writer
        let thread = try NamedThread.start(name: "test-save") {
            // What goes wrong here shows in the load.
            try? guest.save(SequentialWriter(StreamOutput(writer)))
            try? writer.close()
        }
        let target = try StreamGuest(like: guest)
        try load(ends.reader, into: target)
        thread.join()
        #expect(target.digests == guest.digests)
    }

    @Test(arguments: StreamLayout.allCases)
    func `a page sent again replaces itself`(_ layout: StreamLayout) throws {
        let guest = try StreamGuest(pageCounts: [40, 3])
        for page in 0..<40 where page % 2 == 0 {
            guest.fill(0, page: page, version: 1)
        }
        let file = try StreamFile()
        let writer = layout.writer(StreamOutput(try file.channel()))
        try guest.save(writer) {
            // Data becomes zero, zero becomes data, data becomes other data.
            for page in 0..<20 {
                guest.fill(0, page: page, version: page % 2 == 0 ? 0 : 2)
            }
            for page in stride(from: 20, to: 40, by: 2) {
                guest.fill(0, page: page, version: 3)
            }
            try guest.iterate(writer)
            // And once more, with gaps that nothing is sent for.
            guest.fill(0, page: 0, version: 4)
            guest.fill(0, page: 1, version: 0)
            guest.fill(1, page: 2, version: 4)
            try guest.iterate(writer, pages: { $0 == 0 ? 0..<2 : 2..<3 })
        }
        let target = try StreamGuest(like: guest)
        try load(try file.channel(), into: target)
        #expect(target.digests == guest.digests)
    }

    @Test(arguments: StreamLayout.allCases)
    func `memory that had content before becomes that of the stream`(
        _ layout: StreamLayout
    ) throws {
        let guest = try StreamGuest(pageCounts: [16])
        guest.fill(0, page: 3, version: 1)
        let file = try StreamFile()
        try guest.save(layout.writer(StreamOutput(try file.channel())))
        let target = try StreamGuest(like: guest)
        // What a memory file brings: nobody knows it to be zero.
        _ = target.blocks[0].takeUntouched()
        for page in 0..<16 {
            target.fill(0, page: page, version: 9)
        }
        try load(try file.channel(), into: target)
        #expect(target.digests == guest.digests)
    }

    @Test func `zero pages may be sent as they are`() throws {
        let guest = try StreamGuest(pageCounts: [9])
        guest.fill(0, page: 4, version: 1)
        for layout in StreamLayout.allCases {
            let file = try StreamFile()
            let writer = layout.writer(StreamOutput(try file.channel()))
            try guest.save(writer) { try guest.iterate(writer, detectsZeroPages: false) }
            let target = try StreamGuest(like: guest)
            let stream = try load(try file.channel(), into: target)
            #expect(target.digests == guest.digests)
            let expected: UInt64 = layout == .mapped ? 9 : 10
            #expect(stream.progress.dataPageCount == expected)
        }
    }

    @Test func `a mapped image ignores what lies under clear bits and in gaps`() throws {
        let guest = try StreamGuest(pageCounts: [8])
        guest.fill(0, page: 2, version: 1)
        // As if saved over an older image: junk wherever nothing is written.
        let file = try StreamFile([UInt8](repeating: 0xee, count: 3 << 20))
        try guest.save(MappedWriter(StreamOutput(try file.channel())))
        let target = try StreamGuest(like: guest)
        try load(try file.channel(), into: target)
        #expect(target.digests == guest.digests)
        #expect(try file.bytes[(1 << 20) + 4095] == 0xee, "page 0 was not written")
    }

    @Test func `a mapped image cut off before its end is none, whatever was there before`() throws {
        let guest = try StreamGuest(pageCounts: [8])
        guest.fill(0, page: 2, version: 1)
        let file = try StreamFile()
        try guest.save(MappedWriter(StreamOutput(try file.channel())))
        // The second save in the same place is interrupted, so two guests are mixed now.
        guest.fill(0, page: 2, version: 2)
        let writer = MappedWriter(StreamOutput(try file.channel()))
        try writer.begin(
            StreamPlan(configuration: ConfigurationSection(machineName: "none")),
            blocks: guest.listed,
            earlySections: []
        )
        try guest.iterate(writer)
        let target = try StreamGuest(like: guest)
        #expect(throws: StreamError.self) { try load(try file.channel(), into: target) }
    }

    @Test(arguments: StreamLayout.allCases)
    func `sections before the pages arrive before the pages`(_ layout: StreamLayout) throws {
        let guest = try StreamGuest(pageCounts: [2])
        guest.fill(0, page: 1, version: 1)
        var early = DeviceSectionRun()
        early.append(
            id: 77,
            identity: .init(name: "virtio-mem-early", instance: 0, version: 1),
            body: [1, 2, 3],
            footer: true
        )
        let file = try StreamFile()
        let earlyBytes = early.encoded(footers: true)
        // The description would not know the early section, so there is none.
        var state = DeviceState.fresh(runState: "paused", machineName: "none")
        state.description = nil
        try guest.save(
            layout.writer(StreamOutput(try file.channel())),
            earlySections: earlyBytes,
            deviceState: state
        )
        let target = try StreamGuest(like: guest)
        let receiver = StreamTestReceiver(target)
        let stream = try load(try file.channel(), into: target, receiver: receiver)
        #expect(receiver.early == earlyBytes)
        #expect(receiver.pageCountBeforeEarly == 0)
        #expect(receiver.sections == ["virtio-mem-early", "timer", "globalstate"])
        #expect(stream.deviceState.early.encoded(footers: true) == earlyBytes)
        #expect(target.digests == guest.digests)
    }

    @Test func `a mapped image of over one part of its bitmap gives equal memory`() throws {
        // A part of 32 KiB stands for 1 GiB; this is a little more, nearly all of it zero.
        let guest = try StreamGuest(pageCounts: [(1 << 18) + 70])
        for page in [0, (1 << 18) - 1, 1 << 18, (1 << 18) + 69] {
            guest.fill(0, page: page, version: 1)
        }
        let file = try StreamFile()
        let writer = MappedWriter(StreamOutput(try file.channel()))
        try writer.begin(
            StreamPlan(configuration: ConfigurationSection(machineName: "none")),
            blocks: guest.listed,
            earlySections: []
        )
        for pages in [0..<3, (1 << 18) - 3..<(1 << 18) + 70] {
            try guest.iterate(writer, pages: { _ in pages })
        }
        try writer.beginCompletion(announced: true)
        let state = DeviceState.fresh(runState: "running", machineName: "none")
        try writer.finish(
            deviceSections: state.final.encoded(footers: true),
            description: state.description ?? []
        )
        let target = try StreamGuest(like: guest)
        let stream = try load(try file.channel(), into: target)
        #expect(stream.progress.dataPageCount == 4)
        for page in [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 69] {
            #expect(target.page(0, page) == guest.page(0, page))
        }
    }

    @Test func `a guest without memory is a guest`() throws {
        for layout in StreamLayout.allCases {
            let guest = try StreamGuest(pageCounts: [])
            let file = try StreamFile()
            try guest.save(layout.writer(StreamOutput(try file.channel())))
            let stream = try load(try file.channel(), into: guest)
            #expect(stream.blocks.isEmpty)
        }
    }
}
