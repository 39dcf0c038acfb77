import BerthMemory
import BerthStream
import BerthTestSupport
import BerthTransport
import BerthWire
import Testing

@testable import BerthImages

/// What `berth seal` seals, and what it refuses.
@Suite(.timeLimit(.minutes(10)))
struct SealingTests {
    private let fixture: VerifyFixture
    private static let xml = Array("<domain type='qemu'><name>vm1</name></domain>".utf8)

    init() throws {
        fixture = try VerifyFixture(hasDevices: true)
    }

    private func converted(_ format: ImageFormat) throws -> String {
        let path = fixture.directory.file(format.rawValue)
        var converter = ImageConverter(
            input: try fixture.save(.sequential),
            output: path,
            format: format
        )
        converter.xml = format.libvirt == nil ? nil : Self.xml
        try converter.convert()
        return path
    }

    /// The description of the error that a body throws.
    private func refusal(_ body: () throws(ImageError) -> Void) -> String? {
        do throws(ImageError) {
            try body()
            return nil
        } catch {
            return error.description
        }
    }

    @Test(arguments: [ImageFormat.libvirtRaw, .libvirtSparse], IntegrityAlgorithm.allCases)
    func `libvirt's save files are sealed`(
        _ format: ImageFormat,
        _ algorithm: IntegrityAlgorithm
    ) throws {
        let path = try converted(format)
        let before = try contents(of: path)
        let loaded = try fixture.load(path)
        try ImageSealer(path: path).seal(algorithm)
        let report = try fixture.verify(path)
        #expect(report.faults == [])
        #expect(report.contentCheck == .sealed(algorithm))
        #expect(try contents(of: path).starts(with: before))
        #expect(try fixture.load(path) == loaded)
        let seal = try #require(try Seal.find(in: GuestImage(opening: path).openFile()))
        #expect(seal.header.streamStart == 92 + UInt64(Self.xml.count + 1) + 65536)
    }

    @Test(arguments: [ImageFormat.libvirtGzip, .libvirtZstd])
    func `what is compressed has a checksum of its own`(_ format: ImageFormat) throws {
        let path = try converted(format)
        let before = try contents(of: path)
        let refusal = refusal { () throws(ImageError) in
            try ImageSealer(path: path).seal(.crc32c)
        }
        #expect(refusal?.contains("it is compressed") == true)
        #expect(try contents(of: path) == before)
        let report = try fixture.verify(path)
        #expect(report.faults == [])
        #expect(report.contentCheck == .compressed(try #require(format.libvirt?.compression)))
    }

    @Test func `a sealed image is read as before by every other command`() throws {
        let path = try fixture.save(.mappedRAM)
        let loaded = try fixture.load(path)
        try ImageSealer(path: path).seal(.blake3)
        for format in [ImageFormat.sequential, .mappedRAM, .libvirtSparse] {
            let output = fixture.directory.file("from-sealed-\(format.rawValue)")
            var converter = ImageConverter(input: path, output: output, format: format)
            converter.xml = format.libvirt == nil ? nil : Self.xml
            try converter.convert()
            var again = try fixture.load(output)
            again.configuration = loaded.configuration
            #expect(again == loaded)
        }
    }

    @Test func `a new seal takes the place of the old one`() throws {
        let path = try fixture.save(.sequential)
        try ImageSealer(path: path).seal(.blake3)
        let long = try contents(of: path).count
        try ImageSealer(path: path).seal(.crc32c)
        #expect(try contents(of: path).count <= long)
        #expect(try fixture.verify(path).contentCheck == .sealed(.crc32c))
    }

    @Test func `an image that isn't what was sealed isn't sealed anew, unless one insists`() throws
    {
        let path = try fixture.save(.mappedRAM)
        try ImageSealer(path: path).seal(.crc32c)
        let page = try #require(firstIndex(of: fixture.guest.page(0, 40), in: contents(of: path)))
        try ChangedFile(path).write([0xff, 0xfe], at: page + 100)
        let before = try contents(of: path)
        let refusal = refusal { () throws(ImageError) in
            try ImageSealer(path: path).seal(.crc32c)
        }
        #expect(refusal?.contains("page 0x28000 of block 'pc.ram'") == true)
        #expect(try contents(of: path) == before)
        var sealer = ImageSealer(path: path)
        sealer.isForced = true
        try sealer.seal(.crc32c)
        #expect(try fixture.verify(path).isWhole)
    }

    @Test func `bytes behind the stream aren't lost, unless one insists`() throws {
        let path = try fixture.save(.sequential)
        let whole = try contents(of: path)
        try store(whole + Array("precious".utf8), at: path)
        let refusal = refusal { () throws(ImageError) in
            try ImageSealer(path: path).seal(.crc32c)
        }
        #expect(refusal?.contains("8 bytes follow the end of the stream") == true)
        #expect(try contents(of: path).suffix(8).elementsEqual("precious".utf8))
        var sealer = ImageSealer(path: path)
        sealer.isForced = true
        try sealer.seal(.crc32c)
        #expect(try fixture.verify(path).isWhole)
    }

    @Test func `a damaged seal is told, and replaced by one who insists`() throws {
        let path = try fixture.save(.sequential)
        try ImageSealer(path: path).seal(.crc32c)
        let seal = try #require(try Seal.find(in: GuestImage(opening: path).openFile()))
        try ChangedFile(path).write([0x77], at: Int(seal.header.offset) + 60)
        let report = try fixture.verify(path)
        #expect(report.faults.count == 1)
        #expect(report.faults.first?.what.hasPrefix("the image's seal is damaged") == true)
        #expect(throws: ImageError.self) { try ImageSealer(path: path).seal(.crc32c) }
        var sealer = ImageSealer(path: path)
        sealer.isForced = true
        try sealer.seal(.crc32c)
        #expect(try fixture.verify(path).isWhole)
    }

    @Test func `what isn't sealed can't have its seal taken away`() throws {
        let path = try fixture.save(.sequential)
        let before = try contents(of: path)
        let refusal = refusal { () throws(ImageError) in try ImageSealer(path: path).remove() }
        #expect(refusal?.contains("isn't sealed") == true)
        #expect(try contents(of: path) == before)
        try store(before + [1, 2, 3], at: path)
        #expect(throws: ImageError.self) { try ImageSealer(path: path).remove() }
        #expect(try contents(of: path).count == before.count + 3)
    }

    @Test func `a seal of a stream elsewhere in the file is told`() throws {
        let path = try fixture.save(.sequential)
        try ImageSealer(path: path).seal(.crc32c)
        let seal = try #require(try Seal.find(in: GuestImage(opening: path).openFile()))
        var header = seal.header
        header.streamStart = 8
        var bytes: [UInt8] = []
        header.encode(into: &bytes)
        try ChangedFile(path).write(bytes, at: Int(seal.header.offset))
        let report = try fixture.verify(path)
        #expect(report.faults.first?.what.hasPrefix("the seal is of a stream at 0x8") == true)
    }

    @Test func `a seal that claims other blocks is told, and no room made for them`() throws {
        let path = try fixture.save(.mappedRAM)
        let received = try GuestImage(opening: path).read(PageCensus()).received
        // 64 TiB, in a file that is nearly all hole.
        let header = SealHeader(
            algorithm: .crc32c,
            stream: 0..<received.places.end,
            blocks: [("pc.ram", 1 << 46)],
            parts: []
        )
        var bytes: [UInt8] = []
        header.encode(into: &bytes)
        let file = try ChangedFile(path)
        let end = header.offset + header.byteCount
        try file.resize(to: Int(end))
        try file.write(bytes, at: Int(header.offset))
        bytes = []
        SealFooter(offset: header.offset, byteCount: header.byteCount).encode(into: &bytes)
        try file.write(bytes, at: Int(end) - bytes.count)
        let report = try fixture.verify(path)
        #expect(report.contentCheck == .none)
        #expect(
            report.faults.map(\.what).prefix(2) == [
                "the image has 3 RAM blocks, 1 were sealed",
                "the image has the RAM block 'pc.ram' of 286720 bytes, 'pc.ram' of "
                    + "70368744177664 was sealed",
            ]
        )
        var memory: [UInt8] = [1, 2, 3]
        let seal = try #require(try Seal.find(in: GuestImage(opening: path).openFile()))
        try memory.withUnsafeMutableBytes {
            let loaded = LoadedBlock(name: "pc.ram", bytes: UnsafeRawBufferPointer($0))
            let verdict = try seal.check([loaded], threadCount: 2)
            #expect(verdict.differences.count == 1)
        }
    }

    /// A stream with a page that came in full and then as a change to it.
    @Test(arguments: IntegrityAlgorithm.allCases)
    func `pages that came as changes are put together first`(
        _ algorithm: IntegrityAlgorithm
    ) throws {
        let path = try fixture.save(.sequential)
        var bytes = try contents(of: path)
        let received = try GuestImage(opening: path).read(PageCensus()).received
        // In front of the section's end, before the switchover: block 0, page 40, 2 bytes at 16.
        let page = fixture.guest.page(0, 40)
        let changed: [UInt8] = [page[16] ^ 0xff, page[17] ^ 0x0f]
        var record: [UInt8] = []
        RAMWord(offset: 40 * 4096, flags: .xbzrle).encode(into: &record)
        record.appendName("pc.ram")
        record += [1, 0, 4, 16, 2] + changed
        let ending = Array<UInt8>([0, 0, 0, 0, 0, 0, 0, 0x10, 0x7e, 0, 0, 0, 2])
        let start = Int(received.places.ram)
        let first = try #require(firstIndex(of: ending, in: Array(bytes[start...])))
        let list = start + first + ending.count
        let next = try #require(firstIndex(of: ending, in: Array(bytes[list...])))
        bytes.insert(contentsOf: record, at: list + next)
        try store(bytes, at: path)

        var expected = page
        expected.replaceSubrange(16..<18, with: changed)
        let loaded = try fixture.load(path)
        #expect(Array(loaded.memory[0][40 * 4096..<41 * 4096]) == expected)
        try ImageSealer(path: path).seal(algorithm)
        let report = try fixture.verify(path)
        #expect(report.faults == [])
        #expect(report.contentCheck == .sealed(algorithm))
        try ChangedFile(path).changing(list + next + record.count - 1, by: 1) {
            let report = try fixture.verify(path)
            #expect(
                report.faults.map(\.what)
                    == ["page 0x28000 of block 'pc.ram' isn't what was sealed"]
            )
        }
    }
}
