import BerthTestSupport
import BerthWire
import Testing

/// Whole streams, read by a loop as small as the codecs allow.
@Suite struct SequentialStreamTests {
    /// What a stream held, up to the device sections.
    private struct Outline: Equatable {
        var configuration: ConfigurationSection?
        var commands: [StreamCommand] = []
        var blocks: [RAMBlockRecord] = []
        var dataPages: [UInt64] = []
        var zeroPages: [UInt64] = []
        var runState: GlobalState?
        var descriptionByteCount: Int?
    }

    private func outline(
        _ cursor: inout WireCursor,
        _ bytes: Span<UInt8>
    ) throws(WireError) -> Outline {
        var ahead = cursor
        var outline = Outline()
        _ = try StreamHeader(decoding: &ahead, bytes)
        outline.configuration = try ConfigurationSection(decoding: &ahead, bytes)
        loop: while true {
            switch try ElementKind(peeking: ahead, bytes) {
            case .endOfFile:
                ahead.offset += 1
                break loop
            case .command:
                outline.commands.append(try StreamCommand(decoding: &ahead, bytes))
            case .full:
                let header = try SectionHeader(decoding: &ahead, bytes)
                if header.identity?.name == GlobalState.sectionName {
                    outline.runState = try GlobalState(decoding: &ahead, bytes)
                } else {
                    _ = try TimerState(decoding: &ahead, bytes)
                }
                _ = try SectionFooter(decoding: &ahead, bytes, of: header.id)
            default:
                let header = try SectionHeader(decoding: &ahead, bytes)
                try readRAM(&ahead, bytes, into: &outline)
                _ = try SectionFooter(decoding: &ahead, bytes, of: header.id)
            }
        }
        let description = try VMDescriptionHeader(decoding: &ahead, bytes)
        try ahead.skip(description.textByteCount, bytes, "description")
        outline.descriptionByteCount = description.textByteCount
        cursor = ahead
        return outline
    }

    private func readRAM(
        _ cursor: inout WireCursor,
        _ bytes: Span<UInt8>,
        into outline: inout Outline
    ) throws(WireError) {
        while true {
            let offset = cursor.streamOffset
            let word = try RAMWord(decoding: &cursor, bytes)
            let kind = try word.kind(at: offset)
            if kind == .page || kind == .zero, !word.continuesBlock {
                _ = try cursor.cstr(bytes, "block name")
            }
            switch kind {
            case .endOfSection:
                return
            case .blockList:
                var budget = try RAMBlockListBudget(total: word.offset, at: offset)
                while !budget.isComplete {
                    let record = try RAMBlockRecord(decoding: &cursor, bytes)
                    try budget.account(for: record, at: offset)
                    outline.blocks.append(record)
                }
            case .page:
                try cursor.skip(TargetPage.byteCount, bytes, "page")
                outline.dataPages.append(word.offset)
            case .zero:
                try cursor.skip(1, bytes, "fill byte")
                outline.zeroPages.append(word.offset)
            case .xbzrle, .hook, .multifdFlush:
                throw .unknownKind(field: "word", offset: offset, found: "\(kind)")
            }
        }
    }

    @Test func `reads what QEMU 10 saved`() throws {
        let outline = try decode(HexVector.load("sequential/none-64k-qemu-10.0"), outline)
        #expect(outline.configuration == ConfigurationSection(machineName: "none"))
        #expect(outline.commands == [.switchoverStart])
        #expect(outline.blocks == [RAMBlockRecord(name: "mem0", usedLength: 0x10000)])
        #expect(outline.dataPages == [0x1000, 0x3000])
        #expect(outline.zeroPages.count == 14)
        #expect(outline.runState == GlobalState(runState: "prelaunch"))
        #expect(outline.descriptionByteCount == 823)
    }

    @Test func `reads what QEMU 7.2 saved`() throws {
        let outline = try decode(HexVector.load("sequential/none-64k-qemu-7.2"), outline)
        #expect(outline.commands.isEmpty)
        #expect(outline.blocks == [RAMBlockRecord(name: "mem0", usedLength: 0x10000)])
        #expect(outline.runState == GlobalState(runState: "prelaunch", wasSuspended: nil))
    }

    @Test func `reads a UUID that QEMU 10 saved`() throws {
        let outline = try decode(HexVector.load("sequential/none-64k-uuid-qemu-10.0"), outline)
        #expect(
            outline.configuration?.uuid == GuestUUID("00112233-4455-6677-8899-aabbccddeeff")
        )
    }

    @Test func `reads the streams composed by hand`() throws {
        #expect(
            try decode(HexVector.load("sequential/smallest"), outline).descriptionByteCount == 2
        )
        let onePage = try decode(HexVector.load("sequential/one-page"), outline)
        #expect(onePage.commands == [.openReturnPath, .ping(1), .switchoverStart])
        #expect(onePage.dataPages == [0x3000])
        #expect(onePage.zeroPages == [0x4000])
        #expect(onePage.runState == GlobalState(runState: "running"))
    }

    @Test(arguments: try HexVector.names(in: "sequential"))
    func `every prefix asks for more and no change traps`(name: String) throws {
        try checkFeeding(HexVector.load(name), outline)
    }

    @Test func `mapped-ram headers of QEMU 10 lie where they say`() throws {
        let bytes = try HexVector.load("mapped-ram/none-64k-qemu-10.0")
        var cursor = WireCursor()
        _ = try StreamHeader(decoding: &cursor, bytes.span)
        let configuration = try ConfigurationSection(decoding: &cursor, bytes.span)
        #expect(configuration.capabilities == ["mapped-ram"])
        _ = try SectionHeader(decoding: &cursor, bytes.span)
        let word = try RAMWord(decoding: &cursor, bytes.span)
        #expect(try word.kind(at: 0) == .blockList)
        let record = try RAMBlockRecord(decoding: &cursor, bytes.span)
        let header = try MappedRAMHeader(decoding: &cursor, bytes.span)
        let headerEnd = UInt64(cursor.offset)
        try header.validate(
            usedLength: record.usedLength,
            headerEnd: headerEnd,
            fileByteCount: UInt64(bytes.count),
            at: 0
        )
        #expect(
            try header
                == MappedRAMHeader.layout(headerEnd: headerEnd, usedLength: record.usedLength)
        )
        let bitmap = header.bitmapRange(usedLength: record.usedLength)
        #expect(bytes[Int(bitmap.lowerBound)..<Int(bitmap.upperBound)].first == 0b1010)
        cursor.offset = Int(header.nextRecordOffset(usedLength: record.usedLength))
        #expect(try RAMWord(decoding: &cursor, bytes.span).kind(at: 0) == .endOfSection)
    }
}
