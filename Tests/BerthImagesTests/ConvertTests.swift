import BerthImages
import BerthMemory
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Foundation
import Glibc
import Testing

/// `berth convert` without the process around it.
@Suite(.timeLimit(.minutes(10)))
struct ConvertTests {
    private static let pageCounts = [900, 64, 65, 1]
    private static let xml = Array("<domain type='qemu'><name>vm1</name></domain>".utf8)

    private let directory: PeersDirectory
    private let guest: RelayGuest

    init() throws {
        directory = try PeersDirectory()
        guest = try RelayGuest(pageCounts: Self.pageCounts)
    }

    private func save(as layout: ImageFormat) throws -> String {
        let path = directory.file("saved-\(layout.rawValue)")
        let file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        try guest.save(to: Channel(file, name: path), as: layout)
        return path
    }

    private func convert(_ input: String, to format: ImageFormat) throws -> String {
        let path = directory.file("\(format.rawValue)-of-\(input.split(separator: "/").last ?? "")")
        var converter = ImageConverter(input: input, output: path, format: format)
        converter.xml = format.libvirt != nil ? Self.xml : nil
        try converter.convert()
        return path
    }

    /// The memory that an image holds, loaded as an endpoint would.
    private func digests(of image: String) throws -> [UInt64] {
        let loader = try RelayLoader(Self.pageCounts)
        let plain = directory.file("plain")
        try ImageConverter(input: image, output: plain, format: .sequential).convert()
        _ = try loader.load(path: plain)
        return loader.guest.digests
    }

    @Test(arguments: ImageFormat.bare, ImageFormat.allCases)
    func `any form becomes any other with the same memory`(
        _ first: ImageFormat,
        _ second: ImageFormat
    ) throws {
        let saved = try save(as: first)
        let converted = try convert(saved, to: second)
        let image = try GuestImage(opening: converted)
        #expect((image.libvirt != nil) == (second.libvirt != nil))
        #expect(image.compression == second.libvirt?.compression)
        #expect(image.libvirt?.format == second.libvirt)
        #expect(image.libvirt?.header.isPartial != true)
        #expect(try digests(of: converted) == guest.digests)
        // And back: what a stream says besides its pages is the same.
        let again = try convert(converted, to: first)
        #expect(try digests(of: again) == guest.digests)
        let one = try GuestImage(opening: saved).read(PageCensus()).received
        let two = try GuestImage(opening: again).read(PageCensus()).received
        #expect(one.deviceState == two.deviceState)
        #expect(one.blocks == two.blocks)
        #expect(one.ramSectionID == two.ramSectionID)
    }

    @Test func `what libvirt knows of the domain goes with the stream`() throws {
        let saved = try convert(save(as: .sequential), to: .libvirtRaw)
        // With a cookie, and a guest that is to stay paused.
        let bytes = try contents(of: saved)
        let cookie = Array("<cookie/>".utf8)
        let head = Array(bytes.prefix(92))
        var header = try LibvirtSaveHeader(decoding: head.span)
        header.wasRunning = false
        header.cookieOffset = UInt32(Self.xml.count + 1)
        var changed = header.encoded + bytes.dropFirst(92)
        let place = 92 + Self.xml.count + 1
        changed.replaceSubrange(place..<place + cookie.count, with: cookie)
        try store(changed, at: saved)
        var path = saved
        for format in ImageFormat.allCases where format.libvirt != nil {
            let next = directory.file("next-\(format.rawValue)")
            try ImageConverter(input: path, output: next, format: format).convert()
            let image = try GuestImage(opening: next)
            let libvirt = try #require(image.libvirt)
            #expect(libvirt.xml == Self.xml)
            #expect(libvirt.cookie == cookie)
            #expect(!libvirt.header.wasRunning)
            path = next
        }
        var converter = ImageConverter(
            input: path,
            output: directory.file("running"),
            format: .libvirtRaw
        )
        converter.runsAfterRestore = true
        try converter.convert()
        #expect(try GuestImage(opening: converter.output).libvirt?.header.wasRunning == true)
    }

    @Test(arguments: [("running", true), ("paused", false), ("shutdown", false)])
    func `a wrapped stream runs after a restore if its guest ran`(
        _ runState: String,
        _ runs: Bool
    ) throws {
        let path = directory.file("image")
        let file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        let state = DeviceState.fresh(runState: runState, machineName: "none")
        let output = StreamOutput(try Channel(file, name: path))
        let writer = SequentialWriter(output)
        try writer.begin(
            StreamPlan(configuration: ConfigurationSection(machineName: "none")),
            blocks: [StreamBlock(name: "ram", byteCount: 4096)],
            earlySections: []
        )
        try writer.beginCompletion(announced: true)
        try writer.finish(
            deviceSections: state.final.encoded(footers: true),
            description: state.description ?? []
        )
        let wrapped = try convert(path, to: .libvirtRaw)
        #expect(try GuestImage(opening: wrapped).libvirt?.header.wasRunning == runs)
    }

    @Test func `a bare stream needs the XML of its domain`() throws {
        let saved = try save(as: .sequential)
        let output = directory.file("out")
        let error = #expect(throws: ImageError.self) {
            try ImageConverter(input: saved, output: output, format: .libvirtSparse).convert()
        }
        #expect(error?.hint?.contains("--xml") == true)
        #expect(access(output, F_OK) != 0)
    }

    @Test(arguments: ImageFormat.allCases)
    func `a cut-off image becomes none, and leaves nothing behind`(_ format: ImageFormat) throws {
        let saved = try save(as: .sequential)
        let bytes = try contents(of: saved)
        for count in [0, 7, 300, bytes.count / 2, bytes.count - 900] {
            try store(Array(bytes.prefix(count)), at: saved)
            #expect(throws: ImageError.self) { try convert(saved, to: format) }
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: directory.path)
            .filter { $0 != "saved-sequential" }
        #expect(left.isEmpty, "\(left)")
    }

    @Test(arguments: [Compression.gzip, .bzip2, .xz, .lzop, .zstd])
    func `damage in a compressed stream is noticed`(_ compression: Compression) throws {
        let format = try #require(ImageFormat(rawValue: "libvirt-\(compression.rawValue)"))
        let saved = try convert(save(as: .sequential), to: format)
        var bytes = try contents(of: saved)
        // In the checksum or index at the end, which the stream's own end doesn't need.
        bytes[bytes.count - 6] ^= 0x10
        try store(bytes, at: saved)
        #expect(throws: ImageError.self) { try convert(saved, to: .mappedRAM) }
        #expect(throws: ImageError.self) { try GuestImage(opening: saved).read(PageCensus()) }
        // Also by those who read single pages: extract, diff.
        let error = #expect(throws: ImageError.self) { try GuestImage(opening: saved).pages() }
        #expect(error?.description.contains(compression.rawValue) == true)
    }

    @Test(arguments: ImageFormat.allCases, ImageFormat.bare)
    func `an image without a description gets none`(
        _ format: ImageFormat,
        _ again: ImageFormat
    ) throws {
        var guest = try SavedGuest(["pc.ram": 8])
        guest.fill(0, 3)
        guest.state.description = nil
        let saved = directory.file("saved")
        try guest.save(to: saved, as: .sequential)
        let converted = try convert(try convert(saved, to: format), to: again)
        if again == .sequential {
            // The last footer, and the end mark.
            let end = try contents(of: converted).suffix(6)
            #expect(end.first == 0x7e && end.last == 0)
        }
        // With a seal, too.
        let path = directory.file("sealed")
        var converter = ImageConverter(input: converted, output: path, format: again)
        converter.integrity = .with(.crc32c)
        try converter.convert()
        #expect(
            try GuestImage(opening: path).read(PageCensus()).received.deviceState == guest.state
        )
        let faults = try ImageVerifier(path: path).verify().faults
        #expect(faults.map(\.what) == ["the stream ends without a description of its devices"])
        #expect(
            Set(try ImageInspection(of: path).devices.map(\.problem))
                == ["the stream has no description of its devices"]
        )
    }

    @Test func `an image isn't converted to itself`() throws {
        let saved = try save(as: .mappedRAM)
        let before = try contents(of: saved)
        #expect(throws: ImageError.self) {
            try ImageConverter(input: saved, output: saved, format: .sequential).convert()
        }
        #expect(try contents(of: saved) == before)
    }

    /// Zero pages that are marked as present, in a file where a copy has left a hole for them.
    @Test func `holes of a mapped-ram image are zeros and stay holes`() throws {
        let blank = try RelayGuest(pageCounts: [2048], filled: false)
        let path = directory.file("image")
        let file = try Channel(
            OwnedDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600),
            name: path
        )
        try blank.save(to: file, as: .mappedRAM)
        let census = PageCensus()
        let reading = try GuestImage(opening: path).read(census)
        let pagesOffset = try #require(census.blocks[0].pagesOffset)
        // All bits set; QEMU's layout has the bitmap right before the padding.
        let found = try bitmapOffset(of: path)
        let bitmap = try #require(found)
        try [UInt8](repeating: 0xff, count: 256).withUnsafeBytes { try file.write(at: bitmap, $0) }
        #expect(pagesOffset > bitmap && reading.trailing == nil)
        let sequential = try convert(path, to: .sequential)
        #expect(try FileStatus(path: sequential).byteCount < 64 << 10)
        let pages = try GuestImage(opening: path).pages()
        var zeroByteCount = 0
        try pages.visitRuns(ofBlock: 0) { run in
            // The fixture's second round writes to the first pages.
            #expect(run.isZero || run.offset < 8 * 4096)
            zeroByteCount += run.isZero ? run.byteCount : 0
        }
        #expect(zeroByteCount >= 2040 * 4096 && pages.data(ofBlock: 0).count == 2048)
    }

    /// Offset of the first block's bitmap: in the header behind the block's record.
    private func bitmapOffset(of path: String) throws -> UInt64? {
        let bytes = try contents(of: path).prefix(4096)
        let name = Array("block0".utf8)
        guard let start = firstIndex(of: name, in: Array(bytes)) else { return nil }
        let field = start + name.count + 8 + 12
        return bytes[field..<field + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }

    @Test func `pages are read at any place of any image`() throws {
        for format in [ImageFormat.mappedRAM, .sequential, .libvirtZstd] {
            let image = try convert(save(as: .sequential), to: format)
            let pages = try GuestImage(opening: image).pages()
            #expect(pages.blocks == guest.listed)
            let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: 3 * 4096,
                alignment: 4096
            )
            defer { buffer.deallocate() }
            for page in [0, 1, 5, 63, 897] {
                try pages.read(block: 0, offset: page * 4096, into: buffer)
                let memory = guest.blocks[0].base + page * 4096
                let base = try #require(buffer.baseAddress)
                #expect(memcmp(base, memory, buffer.count) == 0)
            }
            for (block, offset) in [(0, 898 * 4096), (0, -4096), (0, 1), (4, 0), (3, 0)] {
                #expect(throws: ImageError.self) {
                    try pages.read(block: block, offset: offset, into: buffer)
                }
            }
        }
    }

    @Test func `other files are named for what they are`() throws {
        let path = directory.file("other")
        let cases: [([UInt8], ImageContent)] = [
            ([], .empty),
            ([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0], .foreign("an ELF file")),
            ([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3], .foreign("a qcow2 disk image")),
            (Array("hello".utf8), .unknown),
            (Array("LibvirtQemud".utf8), .unknown),
            (Array("LibvirtQemudSave".utf8), .libvirt),
        ]
        for (bytes, content) in cases {
            try store(bytes, at: path)
            let image = try GuestImage(opening: path)
            #expect(image.content == content)
            #expect(throws: ImageError.self) { try image.read(PageCensus()) }
        }
    }
}

extension ConvertTests {
    @Test func `an image that gets shorter while it is read is an error, not zeros`() throws {
        let guest = try RelayGuest(pageCounts: [512])
        let directory = try PeersDirectory()
        let path = directory.file("shrinking")
        let file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        try guest.save(to: Channel(file, name: path), as: .mappedRAM)
        let pages = try GuestImage(opening: path).pages()
        #expect(truncate(path, (1 << 20) + 64 * 4096) == 0)
        #expect(throws: ImageError.self) {
            try pages.visitRuns(ofBlock: 0) { _ in }
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 8192, alignment: 4096)
        defer { buffer.deallocate() }
        #expect(throws: ImageError.self) {
            try pages.read(block: 0, offset: 100 * 4096, into: buffer)
        }
    }
}
