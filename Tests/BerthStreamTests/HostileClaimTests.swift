import BerthMemory
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

/// Streams that claim more than there is: refused by a limit, with nothing allocated for the claim.
@Suite(.timeLimit(.minutes(10)))
struct HostileClaimTests {
    private let target: StreamGuest

    init() throws { target = try StreamGuest(pageCounts: [4]) }

    /// Header, configuration and the start of the RAM section, up to where the total stands.
    func opening(isMapped: Bool = false) -> [UInt8] {
        var bytes: [UInt8] = []
        StreamHeader().encode(into: &bytes)
        ConfigurationSection(
            machineName: "none",
            capabilities: isMapped ? ["mapped-ram"] : []
        ).encode(into: &bytes)
        SectionHeader(
            full: false,
            id: 1,
            identity: .init(name: "ram", instance: 0, version: 4)
        ).encode(into: &bytes)
        return bytes
    }

    func word(_ offset: UInt64, _ flags: RAMFlags) -> [UInt8] {
        var bytes: [UInt8] = []
        RAMWord(offset: offset, flags: flags).encode(into: &bytes)
        return bytes
    }

    func block(_ name: String, _ byteCount: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendName(name)
        bytes.appendBigEndian(byteCount)
        return bytes
    }

    /// Loads from a file and gives the error.
    func refusal(
        of bytes: [UInt8],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> StreamError? {
        let file = try StreamFile(bytes)
        return #expect(throws: StreamError.self, sourceLocation: sourceLocation) {
            try load(try file.channel(), into: target)
        }
    }

    /// The most memory that this process had resident at a time.
    private static func peakByteCount() throws -> Int {
        let file = try OwnedDescriptor.open("/proc/self/status", O_RDONLY)
        var buffer = [UInt8](repeating: 0, count: 8192)
        let count = read(file.raw, &buffer, buffer.count)
        let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("VmHWM") })
        return try #require(Int(line.split(separator: " ").dropLast().last ?? "")) * 1024
    }

    /// In a process of its own, so that no other test's memory is counted.
    @Test func `refusals cost no memory`() async throws {
        await #expect(processExitsWith: .success) {
            let tests = try HostileClaimTests()
            // Once for what is allocated once.
            _ = try tests.refusal(of: tests.opening())
            let before = try Self.peakByteCount()
            for bits: UInt64 in [40, 45, 46, 47, 60, 63] {
                _ = try tests.refusal(of: tests.opening() + tests.word(1 << bits, .blockList))
                _ = try tests.refusal(
                    of: tests.opening() + tests.word(1 << 46, .blockList)
                        + tests.block("ram", 1 << bits)
                )
                var mapped = tests.opening(isMapped: true) + tests.word(1 << 46, .blockList)
                mapped += tests.block("ram", 1 << bits)
                MappedRAMHeader(bitmapOffset: 0x2000, pagesOffset: 0x10_0000)
                    .encode(into: &mapped)
                _ = try tests.refusal(of: mapped + [UInt8](repeating: 0, count: 2 << 20))
            }
            let growth = try Self.peakByteCount() - before
            guard growth < 32 << 20 else {
                fatalError("\(growth) bytes for claims alone")
            }
        }
    }

    @Test func `what belongs together is in memory once while it grows`() async throws {
        await #expect(processExitsWith: .success) {
            let file = try StreamFile()
            let channel = try file.channel()
            try channel.resize(to: 128 << 20)
            let input = StreamInput(channel)
            let before = try Self.peakByteCount()
            // Past the last step in which the room doubles.
            while input.available < 66 << 20 {
                guard try input.fetch(input.available + 1) else { break }
            }
            let growth = try Self.peakByteCount() - before
            guard input.available >= 66 << 20, growth < 96 << 20 else {
                fatalError("\(growth) bytes for \(input.available)")
            }
        }
    }

    @Test(arguments: [60, 62, 63])
    func `a total of 2^60 bytes and more`(_ bits: UInt64) throws {
        let error = try refusal(of: opening() + word(1 << bits, .blockList))
        #expect(error?.code == .limitExceeded)
    }

    @Test func `a block of 2^60 bytes`() throws {
        let error = try refusal(
            of: opening() + word(1 << 40, .blockList) + block("ram", 1 << 60)
        )
        #expect(error?.code == .limitExceeded)
    }

    @Test func `a block larger than the total`() throws {
        let error = try refusal(
            of: opening() + word(0x4000, .blockList) + block("block0", 0x5000)
        )
        #expect(error?.code == .malformed)
    }

    @Test func `more blocks than any machine has`() throws {
        // No length, so that the total is never reached.
        let names = (0..<5000).map { block("block\($0 + 1)", 0) }.flatMap { $0 }
        let error = try refusal(of: opening() + word(0x1000, .blockList) + names)
        #expect(error?.code == .limitExceeded)
    }

    @Test func `a block listed twice`() throws {
        let error = try refusal(
            of: opening() + word(0x8000, .blockList) + block("block0", 0x4000)
                + block("block0", 0x4000)
        )
        #expect(error?.message.contains("'block0' is listed twice") == true)
    }

    @Test func `a list of blocks that comes twice`() throws {
        let list = word(0x4000, .blockList) + block("block0", 0x4000)
        #expect(try refusal(of: opening() + list + list)?.code == .malformed)
    }

    @Test func `no list of blocks at all`() throws {
        // Accepted, it would be a guest without the memory that nobody was asked about.
        var bytes = opening() + word(0, .endOfSection)
        SectionFooter(id: 1).encode(into: &bytes)
        let error = try refusal(of: bytes + [0, 6, 0, 0, 0, 0])
        #expect(error?.message.contains("list of blocks") == true)
    }

    @Test func `no RAM section at all`() throws {
        var bytes: [UInt8] = []
        StreamHeader().encode(into: &bytes)
        ConfigurationSection(machineName: "none").encode(into: &bytes)
        #expect(try refusal(of: bytes + [0, 6, 0, 0, 0, 0])?.code == .malformed)
    }

    @Test func `a page before any block is named, outside of its block, of an unknown block`()
        throws
    {
        let list = word(0x4000, .blockList) + block("block0", 0x4000)
        let page = [UInt8](repeating: 1, count: 4096)
        var name: [UInt8] = []
        name.appendName("block0")
        var stranger: [UInt8] = []
        stranger.appendName("block9")
        for bytes in [
            word(0, [.page, .continues]) + page,
            word(0x4000, .page) + name + page,
            word(0x7fff_ffff_ffff_f000, .page) + name + page,
            word(0xffff_ffff_ffff_f000, .zero) + name + [0],
            word(0, .page) + stranger + page,
            word(0, .zero) + name + [1],
            word(0, [.zero, .page]) + name + page,
            word(0, []) + name + page,
        ] {
            _ = try refusal(of: opening() + list + bytes)
        }
    }

    @Test(arguments: ["machine name", "capabilities", "block name"])
    func `lengths of 2^32 - 1`(_ what: String) throws {
        var bytes: [UInt8] = []
        StreamHeader().encode(into: &bytes)
        switch what {
        case "machine name":
            bytes += [0x07, 0xff, 0xff, 0xff, 0xff]
        case "capabilities":
            bytes += [0x07, 0, 0, 0, 0, 0x05]
            bytes.appendName("configuration/capabilities")
            bytes += [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]
        default:
            bytes = opening() + word(0x4000, .blockList) + [0]
        }
        _ = try refusal(of: bytes)
    }

    @Test func `a description that claims 2^32 - 1 bytes counts as what follows a stream`() throws {
        var bytes = opening() + word(0x4000, .blockList) + block("block0", 0x4000)
        bytes += word(0, .endOfSection)
        SectionFooter(id: 1).encode(into: &bytes)
        bytes += [0, 6, 0xff, 0xff, 0xff, 0xff] + Array("{}".utf8)
        let stream = try load(try StreamFile(bytes).channel(), into: target)
        #expect(stream.deviceState.description == nil)
    }

    @Test func `an image of a claimed guest costs what comes, not what is claimed`() async throws {
        await #expect(processExitsWith: .success) {
            let tests = try HostileClaimTests()
            let before = try Self.peakByteCount()
            var list = tests.word(1 << 46, .blockList)
            list += tests.block("ram", 1 << 46)
            let claim = try StreamFile(tests.opening() + list)
            let output = StreamOutput(try StreamFile().channel())
            let relay = RelayReceiver(MappedWriter(output))
            // The file system may refuse so long a file, or the stream ends: both are errors.
            #expect(throws: StreamError.self) {
                try StreamReader(StreamInput(claim.channel()), receiver: relay).read()
            }
            let growth = try Self.peakByteCount() - before
            guard growth < 32 << 20 else {
                fatalError("\(growth) bytes for a claim alone")
            }
        }
    }

    @Test func `device state without end is refused at its limit, not collected`() throws {
        var bytes = opening() + word(0x4000, .blockList) + block("block0", 0x4000)
        bytes += word(0, .endOfSection)
        SectionFooter(id: 1).encode(into: &bytes)
        SectionHeader(
            full: true,
            id: 9,
            identity: .init(name: "timer", instance: 0, version: 2)
        ).encode(into: &bytes)
        let ends = try connection("socket")
        let writer = ends.writer
        let head = bytes
        let thread = try NamedThread.start(name: "test-feed") {
            let junk = [UInt8](repeating: 0x5c, count: 1 << 20)
            do {
                try head.withUnsafeBytes { try writer.write($0) }
                while true { try junk.withUnsafeBytes { try writer.write($0) } }
            } catch {
                // The reader gave up.
            }
        }
        var error: StreamError?
        do {
            try load(ends.reader, into: target)
        } catch let thrown as StreamError {
            error = thrown
        }
        ends.reader.abort()
        thread.join()
        #expect(error?.code == .limitExceeded)
    }

    @Test(arguments: [
        ("bitmap behind the file's end", 0x7000_0000, 0x10_0000),
        ("bitmap at 2^64 - 8", UInt64.max - 7, 0x10_0000),
        ("pages behind the file's end", 0x2000, 0x7000_0000),
        ("pages at 2^64 - 4096", 0x2000, UInt64.max - 4095),
        ("pages that are not aligned", 0x2000, 0x10_0200),
        ("bitmap before the header", 0, 0x10_0000),
        ("pages over the header", 0x2000, 0),
        ("bitmap inside the pages", 0x10_1000, 0x10_0000),
        ("pages over the bitmap", 0x10_0008, 0x10_0000),
    ])
    func `a mapped-ram header with impossible places`(
        _ what: String,
        _ bitmap: UInt64,
        _ pages: UInt64
    ) throws {
        var bytes = opening(isMapped: true)
        bytes += word(0x4000, .blockList) + block("block0", 0x4000)
        MappedRAMHeader(bitmapOffset: bitmap, pagesOffset: pages).encode(into: &bytes)
        bytes += [UInt8](repeating: 0xff, count: (2 << 20) - bytes.count)
        let error = try refusal(of: bytes)
        #expect(error?.code == .malformed)
    }

    @Test func `two blocks in the same place of a mapped-ram image`() throws {
        for other in [UInt64(0x10_0000), 0x10_3000] {
            var bytes = opening(isMapped: true)
            bytes += word(0x8000, .blockList) + block("block0", 0x4000)
            MappedRAMHeader(bitmapOffset: 0x2000, pagesOffset: 0x10_0000).encode(into: &bytes)
            bytes += [UInt8](repeating: 0, count: 0x10_4000 - bytes.count)
            bytes += block("block1", 0x4000)
            MappedRAMHeader(bitmapOffset: 0x10_5000, pagesOffset: other).encode(into: &bytes)
            bytes += [UInt8](repeating: 0, count: (2 << 20) - bytes.count)
            #expect(try refusal(of: bytes)?.code == .malformed)
        }
    }

    /// What a cut-off save looks like, and what no save does.
    @Test(
        arguments: [
            (
                0, 0x10_0000, "bitmap offset: expected a place behind this header, which ends at",
                false
            ),
            (0x2000, 0, "pages offset: expected a place behind this header, which ends at", false),
            (0x2000, 0x10_0001, "pages offset: expected a multiple of 4096", false),
            (0x10_0000, 0x10_0000, "bitmap offset: expected a bitmap outside", false),
            (
                0x2000, 0x1f_f000,
                "pages offset: expected a place with 0x4000 bytes before the file's end at 0x200000, "
                    + "found 0x1ff000", true
            ),
            (
                0x20_0000, 0x10_0000,
                "bitmap offset: expected a place with 0x8 bytes before the file's end at 0x200000, "
                    + "found 0x200000", true
            ),
            (0x2000, UInt64.max - 4095, "pages offset: expected a place with 0x4000 bytes", true),
        ] as [(UInt64, UInt64, String, Bool)]
    )
    func `only a place behind the file's end speaks for a save that was cut off`(
        _ bitmap: UInt64,
        _ pages: UInt64,
        _ what: String,
        _ isCutOff: Bool
    ) throws {
        var bytes = opening(isMapped: true)
        bytes += word(0x4000, .blockList) + block("block0", 0x4000)
        let headerOffset = UInt64(bytes.count)
        MappedRAMHeader(bitmapOffset: bitmap, pagesOffset: pages).encode(into: &bytes)
        bytes += [UInt8](repeating: 0, count: (2 << 20) - bytes.count)
        let error = try #require(try refusal(of: bytes))
        #expect(error.message.hasPrefix("mapped-ram \(what)"), "\(error)")
        #expect((error.hint?.contains("cut off") == true) == isCutOff, "\(error.hint ?? "none")")
        let offset = try #require(error.offset)
        #expect(offset == headerOffset + (what.hasPrefix("bitmap") ? 12 : 20))
        // Once, and as a viewer of bytes shows it.
        #expect("\(error)" == "\(error.message) (at offset 0x\(String(offset, radix: 16)))")
        #expect(!error.message.contains("offset 0x"))
    }

    @Test func `a mapped-ram header of another version or page size`() throws {
        for change in [(3, UInt8(2)), (10, UInt8(0x20))] {
            var bytes = opening(isMapped: true)
            bytes += word(0x4000, .blockList) + block("block0", 0x4000)
            var header: [UInt8] = []
            MappedRAMHeader(bitmapOffset: 0x2000, pagesOffset: 0x10_0000).encode(into: &header)
            header[change.0] = change.1
            bytes += header
            bytes += [UInt8](repeating: 0, count: (2 << 20) - bytes.count)
            _ = try refusal(of: bytes)
        }
    }

    @Test func `a mapped-ram stream over a connection`() throws {
        let ends = try connection("pipe")
        var bytes = opening(isMapped: true)
        bytes += word(0x4000, .blockList) + block("block0", 0x4000)
        MappedRAMHeader(bitmapOffset: 0x2000, pagesOffset: 0x10_0000).encode(into: &bytes)
        try bytes.withUnsafeBytes { try ends.writer.write($0) }
        #expect {
            try load(ends.reader, into: target)
        } throws: {
            ($0 as? StreamError)?.code == .unsupported
        }
    }

    @Test func `page records in a mapped-ram stream`() throws {
        let file = try StreamFile()
        let writer = MappedWriter(StreamOutput(try file.channel()))
        try target.save(writer) {
            try writer.beginIteration()
            try writer.output.put(word(0, .zero) + block("block0", 0).dropLast(8) + [0])
            try writer.endIteration()
        }
        #expect(throws: StreamError.self) { try load(try file.channel(), into: target) }
    }
}
