import BerthMemory
import BerthStream
import BerthTestSupport
import BerthTransport
import BerthWire
import Testing

/// Whole streams that real QEMU wrote, read and written again.
@Suite(.timeLimit(.minutes(10)))
struct GoldenStreamTests {
    private static let names = [
        "sequential/none-64k-qemu-10.0", "sequential/none-64k-qemu-7.2",
        "sequential/none-64k-uuid-qemu-10.0", "mapped-ram/none-64k-qemu-10.0",
    ]

    /// The 16 pages that the README of the vectors describes.
    private func original() throws -> StreamGuest {
        let block = try RAMBlock(id: "mem0", byteCount: 16 * targetPageByteCount)
        for offset in 4096..<8192 {
            block.base.storeBytes(of: 0xab, toByteOffset: offset, as: UInt8.self)
        }
        block.base.storeBytes(of: 0x01, toByteOffset: 3 * 4096, as: UInt8.self)
        block.base.storeBytes(of: 0x5a, toByteOffset: 4 * 4096 - 1, as: UInt8.self)
        var guest = try StreamGuest(pageCounts: [])
        guest.blocks = [block]
        return guest
    }

    @Test(arguments: names)
    func `QEMU's image gives QEMU's memory`(_ name: String) throws {
        let file = try StreamFile(HexVector.load(name))
        let guest = try original()
        let target = try StreamGuest(like: guest)
        let stream = try load(try file.channel(), into: target)
        #expect(target.digests == guest.digests)
        #expect(stream.configuration.machineName == "none")
        #expect(stream.hadSwitchoverStart == name.hasSuffix("10.0"))
        #expect(stream.deviceState.globalState?.runState == "prelaunch")
        #expect(stream.deviceState.final.sections.map(\.identity.name) == ["timer", "globalstate"])
        #expect((stream.configuration.uuid != nil) == name.contains("uuid"))
    }

    @Test(arguments: names)
    func `what is not RAM comes out byte for byte`(_ name: String) throws {
        let file = try StreamFile(HexVector.load(name))
        let guest = try original()
        let stream = try load(try file.channel(), into: try StreamGuest(like: guest))
        var configuration = stream.configuration
        configuration.capabilities = []
        for layout in StreamLayout.allCases {
            let copy = try StreamFile()
            let writer = layout.writer(StreamOutput(try copy.channel()))
            try writer.begin(
                StreamPlan(
                    configuration: configuration,
                    ramSectionID: stream.ramSectionID
                ),
                blocks: stream.blocks,
                earlySections: stream.deviceState.early.encoded(footers: true)
            )
            try guest.iterate(writer)
            try writer.beginCompletion(announced: stream.hadSwitchoverStart)
            try writer.finish(
                deviceSections: stream.deviceState.final.encoded(footers: true),
                description: stream.deviceState.description ?? []
            )
            let target = try StreamGuest(like: guest)
            let again = try load(try copy.channel(), into: target)
            #expect(target.digests == guest.digests)
            #expect(again.deviceState.final.bytes == stream.deviceState.final.bytes)
            #expect(again.deviceState.description == stream.deviceState.description)
            #expect(again.configuration.uuid == stream.configuration.uuid)
            #expect(again.ramSectionID == stream.ramSectionID)
        }
    }

    /// Same guest, same order of pages: nothing at all is to differ.
    @Test func `Berth writes the same sequential stream as QEMU`() throws {
        let bytes = try HexVector.load("sequential/none-64k-qemu-10.0")
        let stream = try load(
            try StreamFile(bytes).channel(),
            into: try StreamGuest(like: try original())
        )
        let copy = try StreamFile()
        let writer = SequentialWriter(StreamOutput(try copy.channel()))
        let guest = try original()
        try guest.save(writer, deviceState: stream.deviceState)
        #expect(try copy.bytes == bytes)
    }

    @Test func `Berth writes the same mapped-ram image as QEMU`() throws {
        let bytes = try HexVector.load("mapped-ram/none-64k-qemu-10.0")
        let stream = try load(
            try StreamFile(bytes).channel(),
            into: try StreamGuest(like: try original())
        )
        let copy = try StreamFile()
        let writer = MappedWriter(StreamOutput(try copy.channel()))
        let guest = try original()
        try guest.save(writer, deviceState: stream.deviceState)
        #expect(try copy.bytes == bytes)
    }

    /// The device sections of whole PCs, behind a RAM section of our own.
    @Test(arguments: try HexVector.names(in: "device-state"), StreamLayout.allCases)
    func `the devices of a PC pass byte for byte`(
        _ name: String,
        _ layout: StreamLayout
    ) throws {
        let tail = try HexVector.load(name)
        let guest = try StreamGuest(pageCounts: [5])
        guest.fill(0, page: 3, version: 1)
        let file = try StreamFile()
        let writer = layout.writer(StreamOutput(try file.channel()))
        try writer.begin(
            StreamPlan(
                configuration: ConfigurationSection(machineName: "pc"),
                ramSectionID: 7000
            ),
            blocks: guest.listed,
            earlySections: []
        )
        try guest.iterate(writer)
        try writer.beginCompletion(announced: false)
        // `finish` closes the RAM section and adds an end mark of its own, which is cut off again.
        try writer.finish(deviceSections: tail, description: [])
        var bytes = try file.bytes
        bytes.removeLast(6)
        try file.replace(with: bytes)

        let target = try StreamGuest(like: guest)
        let stream = try load(try file.channel(), into: target)
        #expect(target.digests == guest.digests)
        let state = stream.deviceState
        #expect(state.final.sections.count > 20)
        var again = state.final.encoded(footers: true) + [0]
        if let description = state.description {
            VMDescriptionHeader(textByteCount: description.count).encode(into: &again)
            again += description
        }
        #expect(again == tail)
    }
}
