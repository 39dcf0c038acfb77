import BerthMemory
import BerthSystem
import BerthTransport
import BerthWire
import Glibc
import Testing

@testable import BerthStream

/// What a multifd source may not send is refused with its reason, and nobody waits for more of it:
/// in all of these tests the source keeps every channel open and falls silent.
@Suite(.timeLimit(.minutes(5)))
struct MultifdHostileTests {
    /// Bytes put over those of a good packet.
    struct Change: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let offset: Int
        let bytes: [UInt8]
        let reason: String

        init(_ name: String, _ offset: Int, _ bytes: [UInt8], _ reason: String) {
            testDescription = name
            self.offset = offset
            self.bytes = bytes
            self.reason = reason
        }
    }

    private static let changes = [
        Change("magic", 0, [0x11, 0x22, 0x33, 0x45], "multifd magic"),
        Change("the main stream's magic", 0, Array("QEVM".utf8), "multifd magic"),
        Change("version", 4, [0, 0, 0, 2], "version 2 is not supported"),
        Change("unknown flag", 8, [0, 0, 0, 0x80], "multifd flags 0x80"),
        Change("high flag", 8, [0x80, 0, 0, 0], "multifd flags 0x80000000"),
        Change("two methods", 8, [0, 0, 0, 0x06], "multifd flags 0x6"),
        Change("state of a device", 8, [0, 0, 0, 0x40], "with the state of a device"),
        Change("a method that isn't built in", 8, [0, 0, 0, 0x08], "compressed with qpl"),
        Change("room for too many pages", 12, [0, 0, 0, 129], "129 is above the limit of 128"),
        Change(
            "pages beyond all bounds",
            12,
            [0xff, 0xff, 0xff, 0xff],
            "4294967295 is above the limit of 128"
        ),
        Change("more pages than room", 16, [0, 0, 0, 129], "multifd normal_pages"),
        Change("pages by the billion", 16, [0xff, 0xff, 0xff, 0xff], "multifd normal_pages"),
        Change("payload for one page more", 20, [0, 0, 0x40, 0], "expected 12288 bytes"),
        Change("no payload", 20, [0, 0, 0, 0], "expected 12288 bytes"),
        Change("payload of 4 GiB", 20, [0xff, 0xff, 0xff, 0xff], "multifd next_packet_size"),
        Change("more zero pages than room", 32, [0, 0, 0, 126], "multifd zero_pages"),
        Change("zero pages by the billion", 32, [0x80, 0, 0, 0], "multifd zero_pages"),
        Change("unknown block", 64, Array("block7".utf8), "RAM block 'block7'"),
        Change("no block", 64, Array(repeating: 0, count: 256), "multifd block name"),
        Change("a name without end", 64, Array(repeating: 0x61, count: 256), "multifd block name"),
        Change("a name that can't be shown", 64, [0x1b], "multifd block name"),
        Change("offset behind the block", 326, [0x80, 0], "page offset 0x8000 is no page"),
        Change(
            "offset beyond all bounds",
            320,
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf0, 0],
            "page offset 0xfffffffffffff000 is no page"
        ),
        Change("offset inside a page", 326, [0x10, 1], "page offset 0x1001 is no page"),
        Change(
            "zero page behind the block",
            320 + 8 * 3,
            [0x7f, 0, 0, 0, 0, 0, 0, 0],
            "page offset 0x7f00000000000000 is no page"
        ),
    ]

    @Test(arguments: changes)
    func `a packet that cannot be right`(_ change: Change) throws {
        let guest = try StreamGuest(pageCounts: [8])
        for page in 0..<8 { guest.fill(0, page: page, version: 1) }
        var script = try MultifdScript(guest, channelCount: 2)
        script.begin()
        let start = script.channels[1].count
        script.send(pages: [1, 2, 6], zeros: [7], on: 1)
        script.channels[1].replaceSubrange(
            start + change.offset..<start + change.offset + change.bytes.count,
            with: change.bytes
        )
        let error = try refusal(of: script, guest)
        #expect(error.description.hasPrefix("multifd channel 1: "), "\(error)")
        #expect(error.description.contains(change.reason), "\(error)")
    }

    /// Loads a script whose source keeps all channels open.
    private func refusal(
        of script: MultifdScript,
        _ guest: StreamGuest,
        method: MultifdMethod? = nil,
        stallTime: Duration = MultifdReceiver.stallTime
    ) throws -> StreamError {
        let link = try MultifdTestLink(
            channelCount: script.channels.count,
            method: method,
            stallTime: stallTime
        )
        try link.feed(script)
        let target = try StreamGuest(like: guest)
        let error = #expect(throws: StreamError.self) { try link.load(into: target) }
        // The source can still be told.
        if error != nil {
            #expect(throws: Never.self) {
                try ReturnPath.send(.shut(1), on: link.input.channel)
            }
        }
        return try #require(error)
    }

    @Test func `another compression than agreed`() throws {
        let guest = try StreamGuest(pageCounts: [8])
        var script = try MultifdScript(guest, channelCount: 2, compression: .zstd(level: 1))
        script.begin()
        script.send(pages: [1], on: 0)
        let error = try refusal(of: script, guest, method: .zlib)
        #expect(error.message.contains("'zstd'") && error.message.contains("'zlib'"))
        #expect(error.hint?.contains("multifd-compression") == true)
        let plain = try refusal(of: script, guest, method: MultifdMethod.none)
        #expect(plain.message.contains("'zstd'") && plain.message.contains("'none'"))
    }

    @Test func `another compression in the midst`() throws {
        let guest = try StreamGuest(pageCounts: [8])
        var script = try MultifdScript(guest, channelCount: 1, compression: .zlib(level: 1))
        script.begin()
        script.send(pages: [1], on: 0)
        var other = try MultifdScript(guest, channelCount: 1)
        other.send(pages: [2], on: 0)
        script.channels[0] += other.channels[0]
        let error = try refusal(of: script, guest)
        #expect(error.message.contains("those before with 'zlib'"), "\(error)")
    }

    @Test(arguments: [MultifdCompression.zlib(level: 1), .zstd(level: 1)], [0, 3, 20, -30])
    func `a payload that cannot be decompressed`(
        _ compression: MultifdCompression,
        _ place: Int
    ) throws {
        let guest = try StreamGuest(pageCounts: [64])
        for page in 0..<64 { guest.fill(0, page: page, version: 1) }
        var script = try MultifdScript(guest, channelCount: 1, compression: compression)
        script.begin()
        let start = script.channels[0].count + MultifdPacketHeader.byteCount
        script.send(pages: Array(0..<64), on: 0)
        let index = place < 0 ? script.channels[0].count + place : start + place
        for offset in 0..<20 where index + offset < script.channels[0].count {
            script.channels[0][index + offset] ^= 0xa5
        }
        // Bytes may decompress to other bytes; then they are too few or too many, or stay unnoticed
        // as changed pages would.
        script.send(pages: Array(0..<64), on: 0)
        script.finish()
        let link = try MultifdTestLink(channelCount: 1)
        try link.feed(script)
        let target = try StreamGuest(like: guest)
        do {
            try link.load(into: target)
            #expect(target.digests != guest.digests)
        } catch let error as StreamError {
            #expect(error.description.contains("multifd channel 0: the packet's"), "\(error)")
        }
    }

    @Test(arguments: [MultifdCompression.zlib(level: 1), .zstd(level: 1)], [1, 3])
    func `a payload with another number of pages`(
        _ compression: MultifdCompression,
        _ count: Int
    ) throws {
        let guest = try StreamGuest(pageCounts: [64])
        for page in 0..<64 { guest.fill(0, page: page, version: 1) }
        var script = try MultifdScript(guest, channelCount: 1, compression: compression)
        script.begin()
        let start = script.channels[0].count
        script.send(pages: [4, 5], on: 0)
        script.channels[0][start + 19] = UInt8(count)
        let error = try refusal(of: script, guest)
        #expect(
            error.description.contains(count == 1 ? "holds more" : "holds less"),
            "\(error)"
        )
    }

    @Test(arguments: MultifdScript.Mode.allCases)
    func `a channel that is closed before its sync point`(_ mode: MultifdScript.Mode) throws {
        let guest = try StreamGuest(pageCounts: [8])
        var script = try MultifdScript(guest, channelCount: 3, mode: mode)
        script.begin()
        script.beginPart()
        script.synchronize()
        script.endSection()
        let link = try MultifdTestLink(channelCount: 3)
        try link.feed(script.main, to: link.mainWriter)
        for index in 0..<3 {
            // The second sync point is missing on channel 2.
            let bytes = index == 2 ? Array(script.channels[2][..<1344]) : script.channels[index]
            try link.feed(bytes, to: link.writers[index], closes: index == 2)
        }
        let error = #expect(throws: StreamError.self) {
            try link.load(into: try StreamGuest(like: guest))
        }
        #expect(error?.message == "multifd channel 2 was closed before its sync point")
    }

    @Test(arguments: [1, 11, 12, 700, 1343, 1344, 1345, 5439])
    func `a channel that is closed inside a packet`(_ length: Int) throws {
        let guest = try StreamGuest(pageCounts: [8])
        var script = try MultifdScript(guest, channelCount: 2)
        script.begin()
        script.send(pages: [3], on: 0)
        let link = try MultifdTestLink(channelCount: 2)
        try link.feed(script.main, to: link.mainWriter)
        try link.feed(script.channels[1], to: link.writers[1])
        try link.feed(
            Array(script.channels[0][..<(1344 + length)]),
            to: link.writers[0],
            closes: true
        )
        let error = #expect(throws: StreamError.self) {
            try link.load(into: try StreamGuest(like: guest))
        }
        #expect(error?.code == .truncated)
        #expect(
            error?.message == "multifd channel 0: the connection was closed inside a packet"
        )
        #expect(error?.offset == UInt64(64 + 1344 + length))
    }

    @Test func `channels that never come to the sync point`() throws {
        let guest = try StreamGuest(pageCounts: [8])
        var script = try MultifdScript(guest, channelCount: 2)
        script.begin()
        script.beginPart()
        script.flushWord()
        let error = try refusal(of: script, guest, stallTime: .milliseconds(100))
        #expect(error.message.contains("no multifd channel has sent anything"), "\(error)")
    }

    @Test func `a sync point per round in a stream with one per section`() throws {
        let guest = try StreamGuest(pageCounts: [8])
        var script = try MultifdScript(guest, channelCount: 2, mode: .perSection)
        script.begin()
        script.beginPart()
        script.flushWord()
        let error = try refusal(of: script, guest)
        #expect(error.message.contains("sync point inside a section"), "\(error)")
    }

    @Test func `pages behind the last sync point`() throws {
        let guest = try StreamGuest(pageCounts: [8])
        var script = try MultifdScript(guest, channelCount: 2)
        script.begin()
        script.beginPart(isLast: true)
        script.synchronize()
        script.endSection()
        let main = script.main
        var whole = script
        whole.endStream()
        let rest = Array(whole.main[main.count...])
        script.send(pages: [3], on: 1)
        let link = try MultifdTestLink(channelCount: 2)
        for index in 0..<2 { try link.feed(script.channels[index], to: link.writers[index]) }
        let reader = link.receiver
        let writer = link.mainWriter
        let thread = try NamedThread.start(name: "test-feed") {
            try? main.withUnsafeBytes { try writer.write($0) }
            while reader.progress.dataPageCount < 1 { usleep(1000) }
            try? rest.withUnsafeBytes { try writer.write($0) }
        }
        defer { thread.join() }
        let error = #expect(throws: StreamError.self) {
            try link.load(into: try StreamGuest(like: guest))
        }
        #expect(error?.message == "pages came over multifd channel 1 behind the last sync point")
    }

    @Test func `sync points without channels`() throws {
        let guest = try StreamGuest(pageCounts: [8])
        var script = try MultifdScript(guest, channelCount: 0)
        script.begin()
        let ends = try connection("socket")
        try script.main.withUnsafeBytes { try ends.writer.write($0) }
        let error = #expect(throws: StreamError.self) {
            try load(ends.reader, into: try StreamGuest(like: guest))
        }
        #expect(error?.message == "the stream's pages travel on multifd channels")
    }

    @Test(arguments: [0, 1, 2])
    func `an abort ends all threads wherever they are`(_ stage: Int) throws {
        let guest = try StreamGuest(pageCounts: [8])
        var script = try MultifdScript(guest, channelCount: 4)
        if stage > 0 { script.begin() }
        if stage > 1 {
            script.beginPart()
            script.flushWord()
            script.send(pages: [1, 2, 3], sync: true, on: 0)
        }
        let link = try MultifdTestLink(channelCount: 4)
        try link.feed(script)
        let reader = link.receiver
        let wanted = UInt64(script.channels.reduce(0) { $0 + $1.count })
        let all = [link.input.channel] + link.readers
        let thread = try NamedThread.start(name: "test-abort") {
            while reader.progress.streamByteCount < wanted { usleep(1000) }
            // What a transport's abort does.
            for channel in all { channel.abort() }
        }
        defer { thread.join() }
        let error = #expect(throws: StreamError.self) {
            try link.load(into: try StreamGuest(like: guest))
        }
        #expect(error?.code == .aborted, "\(error?.description ?? "none")")
    }
}
