import BerthMemory
import BerthTransport
import BerthWire
import Glibc
import Testing

@testable import BerthStream

@Suite(.timeLimit(.minutes(5)))
struct MultifdSendingTests {
    /// Two blocks with pages of all kinds: content, zero, content alone between zeros.
    private func guest() throws -> StreamGuest {
        let guest = try StreamGuest(pageCounts: [700, 5, 200])
        for page in 0..<700 where page < 300 || page % 3 == 0 {
            guest.fill(0, page: page, version: 1)
        }
        for page in 100..<200 { guest.fill(2, page: page, version: 1) }
        return guest
    }

    private func save(
        _ guest: StreamGuest,
        channels: Int = 2,
        over kind: String = "socket",
        options: MultifdSendOptions = MultifdSendOptions(),
        rounds: (MultifdWriter) throws -> Void = { _ in }
    ) throws -> MultifdRecording {
        let recorder = try MultifdRecorder(channelCount: channels, over: kind)
        let writer = MultifdWriter(
            StreamOutput(recorder.main),
            channels: recorder.channels,
            options: options
        )
        defer { writer.end() }
        try guest.save(writer) { try rounds(writer) }
        writer.end()
        let recording = try recorder.finish()
        #expect(
            UInt64(recording.channelBytes.reduce(0) { $0 + $1.count }) == writer.pageByteCount
        )
        return recording
    }

    // MARK: What arrives

    static let ways: [MultifdSendOptions] = [
        MultifdCompression.none, .zlib(level: 1), .zstd(level: 1),
    ].flatMap { compression in
        [MultifdSendOptions.ZeroPages.inPackets, .onMain].flatMap { zeroPages in
            [false, true].map { flushesEachSection in
                MultifdSendOptions(
                    compression: compression,
                    zeroPages: zeroPages,
                    flushesEachSection: flushesEachSection
                )
            }
        }
    }

    @Test(arguments: ways, [1, 2, 8])
    func `a guest that changes arrives`(options: MultifdSendOptions, channels: Int) throws {
        let guest = try guest()
        let recording = try save(guest, channels: channels, options: options) { writer in
            for version in 2...4 {
                if version == 2 {
                    // What was content becomes zero, what was zero becomes content.
                    for page in 0..<50 { guest.fill(0, page: page, version: 0) }
                    for page in 0..<5 { guest.fill(1, page: page, version: 7) }
                }
                for page in 120..<180 { guest.fill(2, page: page, version: UInt64(version)) }
                try writer.beginIteration()
                try writer.endPass()
                try guest.send(writer, pages: { $0 == 2 ? 100..<200 : 0..<60 })
                try writer.endIteration()
            }
        }
        let target = try StreamGuest(like: guest)
        // What a page held before doesn't matter.
        target.fill(0, page: 20, version: 99)
        try recording.replay(
            into: target,
            syncAt: options.flushesEachSection ? .endOfSection : .flush
        )
        #expect(target.digests == guest.digests)
        #expect(recording.initialPackets.map { Int($0.channelID) } == Array(0..<channels))
        let hasZeroWords = recording.events.contains { if case .zero = $0 { true } else { false } }
        #expect(hasZeroWords == (options.zeroPages == .onMain))
        let methods = recording.packets.joined().filter { $0.header.flags != .sync }
            .map(\.header.flags.method)
        #expect(Set(methods) == [options.compression.method])
    }

    @Test func `packets have up to 128 pages of one block, those with content first`() throws {
        let guest = try StreamGuest(pageCounts: [300, 3])
        for page in 0..<300 where page != 1 && page != 2 { guest.fill(0, page: page, version: 1) }
        guest.fill(1, page: 1, version: 1)
        let recording = try save(guest, channels: 1)
        let packets = recording.packets[0].filter { $0.header.flags != .sync }
        #expect(packets.map(\.header.blockName) == ["block0", "block0", "block0", "block1"])
        #expect(packets.map(\.header.normalCount) == [126, 128, 44, 1])
        #expect(packets.map(\.header.zeroCount) == [2, 0, 0, 2])
        #expect(packets.map(\.header.pagesAllocated) == [128, 128, 128, 128])
        let pages = packets.map { $0.offsets.map { $0 / 4096 } }
        #expect(pages[0] == [0] + (3..<128) + [1, 2])
        #expect(pages[1] == Array(128..<256))
        #expect(pages[2] == (256..<300) + Array(repeating: 0, count: 84))
        #expect(pages[3] == [1, 0, 2] + Array(repeating: 0, count: 125))
        #expect(packets[3].payload == guest.page(1, 1))
        #expect(recording.packets[0].map(\.header.packetNumber) == [0, 1, 2, 3, 4, 5])
    }

    @Test func `pages that lie together are one piece`() throws {
        let guest = try StreamGuest(pageCounts: [16])
        let base = guest.blocks[0].base
        let packet = MultifdPacket()
        packet.begin(block: 0)
        packet.append(base, offset: 0, pageCount: 2)
        packet.append(base + 2 * 4096, offset: 0x2000, pageCount: 3)
        packet.append(base + 8 * 4096, offset: 0x8000, pageCount: 1)
        #expect(packet.pieces.map(\.iov_len) == [5 * 4096, 4096])
        #expect(packet.room == 122)
        let vector = packet.seal(.none, blockName: "block0", payload: nil)
        #expect(vector.map(\.iov_len) == [1344, 5 * 4096, 4096])
    }

    @Test func `settled pages may be used for something else`() throws {
        let guest = try StreamGuest(pageCounts: [200])
        for page in 0..<200 { guest.fill(0, page: page, version: 1) }
        let digests = guest.digests
        for compression in [MultifdCompression.none, .zstd(level: 1)] {
            for page in 0..<200 { guest.fill(0, page: page, version: 1) }
            let recorder = try MultifdRecorder(channelCount: 3)
            let writer = MultifdWriter(
                StreamOutput(recorder.main),
                channels: recorder.channels,
                options: MultifdSendOptions(compression: compression)
            )
            defer { writer.end() }
            let plan = StreamPlan(configuration: ConfigurationSection(machineName: "none"))
            try writer.begin(plan, blocks: guest.listed, earlySections: [])
            try writer.beginIteration()
            try guest.send(writer)
            try writer.settle()
            for page in 0..<200 { guest.fill(0, page: page, version: 9) }
            try writer.endIteration()
            try writer.beginCompletion(announced: true)
            try writer.finish(deviceSections: [], description: [])
            writer.end()
            let target = try StreamGuest(like: guest)
            try recorder.finish().replay(into: target, syncAt: .flush)
            #expect(target.digests == digests)
        }
    }

    // MARK: Sync points

    @Test func `a pass over memory ends in a sync point`() throws {
        let guest = try guest()
        let recording = try save(guest) { writer in
            try writer.beginIteration()
            try guest.send(writer, pages: { _ in 0..<10 })
            try writer.endPass()
            try guest.send(writer, pages: { _ in 0..<10 })
            try writer.endIteration()
        }
        #expect(
            recording.skeleton == [
                .section(.start), .list(["block0", "block1", "block2"]), .flush,
                .endOfSection,
                .section(.part), .endOfSection,
                .section(.part), .flush, .endOfSection,
                .section(.end), .flush, .endOfSection,
            ]
        )
        #expect(recording.syncCounts == [3, 3])
    }

    @Test func `with old machine types a section ends in a sync point`() throws {
        let guest = try guest()
        let options = MultifdSendOptions(flushesEachSection: true)
        let recording = try save(guest, options: options) { writer in
            try writer.beginIteration()
            try guest.send(writer, pages: { _ in 0..<10 })
            try writer.endPass()
            try writer.endIteration()
        }
        #expect(
            recording.skeleton == [
                .section(.start), .list(["block0", "block1", "block2"]), .endOfSection,
                .section(.part), .endOfSection,
                .section(.part), .endOfSection,
                .section(.end), .endOfSection,
            ]
        )
        #expect(recording.syncCounts == [4, 4])
    }

    @Test func `a channel begins with the guest's UUID and a sync point`() throws {
        let uuid = try #require(GuestUUID("550e8400-e29b-41d4-a716-446655440000"))
        let guest = try StreamGuest(pageCounts: [1])
        for given in [uuid, nil] {
            let recording = try save(guest, channels: 3, options: MultifdSendOptions(uuid: given))
            #expect(recording.initialPackets.allSatisfy { $0.uuid == given ?? .zero })
            for packets in recording.packets {
                #expect(packets.first?.header.flags == .sync)
                #expect(packets.first?.header.pagesAllocated == 0)
                #expect(packets.last?.header.flags == .sync)
            }
        }
    }

    // MARK: Zero-copy

    @Test func `zero-copy changes no byte, and counts where all is copied`() throws {
        let guest = try guest()
        let recorder = try MultifdRecorder(channelCount: 2, over: "tcp")
        let writer = MultifdWriter(
            StreamOutput(recorder.main),
            channels: recorder.channels,
            options: MultifdSendOptions(usesZeroCopy: true)
        )
        defer { writer.end() }
        try guest.save(writer) {
            try writer.beginIteration()
            try writer.endPass()
            #expect(writer.zeroCopyFallbackCount > 0, "the loopback copies")
            // Nothing was sent since: nothing could be copied.
            let count = writer.zeroCopyFallbackCount
            try writer.endPass()
            #expect(writer.zeroCopyFallbackCount == count)
            try writer.endIteration()
        }
        writer.end()
        let target = try StreamGuest(like: guest)
        try recorder.finish().replay(into: target, syncAt: .flush)
        #expect(target.digests == guest.digests)
    }

    // MARK: What cannot be

    @Test func `differences and background snapshots are refused`() throws {
        let guest = try StreamGuest(pageCounts: [1])
        let recorder = try MultifdRecorder(channelCount: 1)
        let writer = MultifdWriter(
            StreamOutput(recorder.main),
            channels: recorder.channels,
            options: MultifdSendOptions()
        )
        defer { writer.end() }
        let plan = StreamPlan(configuration: ConfigurationSection(machineName: "none"))
        try writer.begin(plan, blocks: guest.listed, earlySections: [])
        var error = #expect(throws: StreamError.self) {
            try writer.finish(deviceSections: [], description: [], closesMemory: false)
        }
        #expect(error?.code == .unsupported)
        try writer.beginIteration()
        error = #expect(throws: StreamError.self) {
            let delta: [UInt8] = [0, 1, 1]
            try delta.withUnsafeBytes {
                try writer.apply(PageDelta(block: 0, offset: 0, bytes: $0, streamOffset: 0))
            }
        }
        #expect(error?.message == "XBZRLE pages can't be sent with multifd channels")
    }
}
