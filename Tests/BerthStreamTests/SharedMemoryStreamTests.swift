import BerthMemory
import BerthStream
import BerthTransport
import BerthWire
import Testing

/// Streams without the memory that both ends share; capability x-ignore-shared.
@Suite(.timeLimit(.minutes(10)))
struct SharedMemoryStreamTests {
    private let plan = StreamPlan(
        configuration: ConfigurationSection(
            machineName: "none",
            capabilities: ["x-ignore-shared"]
        )
    )

    /// The blocks as the guest has them, at addresses.
    private func listed(_ guest: StreamGuest, _ addresses: [UInt64?]) -> [StreamBlock] {
        zip(guest.listed, addresses).map {
            StreamBlock(name: $0.0.name, byteCount: $0.0.byteCount, guestAddress: $0.1)
        }
    }

    /// Everything up to the end of the RAM section's start, by hand from the format.
    private let beginning: [UInt8] =
        [0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3, 7, 0, 0, 0, 4] + Array("none".utf8)
        + [5, 26] + Array("configuration/capabilities".utf8)
        + [0, 0, 0, 1, 0, 0, 0, 1, 15] + Array("x-ignore-shared".utf8)
        + [1, 0, 0, 0, 1, 3] + Array("ram".utf8) + [0, 0, 0, 0, 0, 0, 0, 4]
        + [0, 0, 0, 0, 0, 0, 0x30, 0x04]
        + [6] + Array("block0".utf8) + [0, 0, 0, 0, 0, 0, 0x20, 0]
        + [0, 0, 0, 1, 0, 0, 0, 0]
        + [6] + Array("block1".utf8) + [0, 0, 0, 0, 0, 0, 0x10, 0]
        + [0, 0, 0, 0, 0, 0, 0, 0]
        + [0, 0, 0, 0, 0, 0, 0, 0x10, 0x7e, 0, 0, 0, 1]

    @Test func `each block is listed with its address`() throws {
        let guest = try StreamGuest(pageCounts: [2, 1])
        let file = try StreamFile()
        let writer = SequentialWriter(StreamOutput(try file.channel()))
        try writer.begin(plan, blocks: listed(guest, [1 << 32, nil]), earlySections: [])
        try writer.output.flush()
        #expect(try file.bytes == beginning)
    }

    @Test func `a block without pages keeps what it has`() throws {
        let guest = try StreamGuest(pageCounts: [2, 1])
        guest.fill(0, page: 1, version: 1)
        let file = try StreamFile()
        let writer = SequentialWriter(StreamOutput(try file.channel()))
        try writer.begin(plan, blocks: listed(guest, [1 << 32, nil]), earlySections: [])
        try guest.iterate(writer, pages: { $0 == 0 ? 0..<2 : 0..<0 })
        try writer.beginCompletion(announced: true)
        try writer.finish(deviceSections: [], description: [])

        let target = try StreamGuest(like: guest)
        target.fill(1, page: 0, version: 9)
        let shared = target.page(1, 0)
        let receiver = StreamTestReceiver(target)
        let stream = try load(try file.channel(), into: target, receiver: receiver)
        #expect(receiver.configuration?.capabilities == ["x-ignore-shared"])
        #expect(receiver.listed == listed(guest, [1 << 32, 0]))
        #expect(target.page(0, 1) == guest.page(0, 1))
        #expect(target.page(1, 0) == shared)
        #expect(stream.progress.totalByteCount == 3 * 4096)
        #expect(stream.progress.dataPageCount + stream.progress.zeroPageCount == 2)
    }

    @Test func `a stream cut off inside an address is truncated`() throws {
        let end = beginning.count
        // The last address has 8 bytes before 13 of end word and footer.
        for count in end - 21..<end - 13 {
            let file = try StreamFile(Array(beginning.prefix(count)))
            let guest = try StreamGuest(pageCounts: [2, 1])
            #expect {
                try load(try file.channel(), into: guest)
            } throws: {
                ($0 as? StreamError)?.code == .truncated
            }
        }
    }

    @Test func `without the capability there are no addresses`() throws {
        let guest = try StreamGuest(pageCounts: [1])
        let file = try StreamFile()
        let writer = SequentialWriter(StreamOutput(try file.channel()))
        try writer.begin(
            StreamPlan(configuration: ConfigurationSection(machineName: "none")),
            blocks: listed(guest, [7]),
            earlySections: []
        )
        try guest.iterate(writer)
        try writer.beginCompletion(announced: true)
        try writer.finish(deviceSections: [], description: [])
        let stream = try load(try file.channel(), into: guest)
        #expect(stream.blocks == guest.listed)
    }

    @Test func `no mapped image leaves memory out`() throws {
        let guest = try StreamGuest(pageCounts: [1])
        let file = try StreamFile()
        let writer = MappedWriter(StreamOutput(try file.channel()))
        let written = #expect(throws: StreamError.self) {
            try writer.begin(plan, blocks: guest.listed, earlySections: [])
        }
        #expect(try file.bytes.isEmpty)
        var bytes: [UInt8] = []
        StreamHeader().encode(into: &bytes)
        ConfigurationSection(
            machineName: "none",
            capabilities: ["x-ignore-shared", "mapped-ram"]
        ).encode(into: &bytes)
        // The first byte of what follows shows that the configuration has ended.
        bytes.append(1)
        let image = try StreamFile(bytes)
        let receiver = StreamTestReceiver(guest)
        let read = #expect(throws: StreamError.self) {
            try load(try image.channel(), into: guest, receiver: receiver)
        }
        #expect(receiver.configuration == nil, "nobody was asked")
        for error in [written, read] {
            #expect(error?.code == .unsupported)
            #expect(error?.message.contains("mapped-ram and x-ignore-shared") == true)
        }
    }
}
