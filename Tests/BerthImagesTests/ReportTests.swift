import BerthImages
import BerthJSON
import BerthMemory
import BerthQAPI
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

/// What `berth inspect` finds in images of every kind.
@Suite(.timeLimit(.minutes(10)))
struct ReportTests {
    /// Blocks of these pages; two are smaller than a word of a bitmap.
    private static let pageCounts = [900, 64, 65, 1]
    private static let xml = Array("<domain type='qemu'>\n  <name>vm1</name>\n</domain>\n".utf8)

    private let directory: PeersDirectory
    private let guest: RelayGuest

    init() throws {
        directory = try PeersDirectory()
        guest = try RelayGuest(pageCounts: Self.pageCounts)
    }

    private func save(as layout: ImageFormat, hasEarlySections: Bool = false) throws -> String {
        let path = directory.file("saved")
        let file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT | O_TRUNC, mode: 0o600)
        try guest.save(
            to: Channel(file, name: path),
            as: layout,
            hasEarlySections: hasEarlySections
        )
        return path
    }

    private func image(as format: ImageFormat) throws -> String {
        let path = directory.file("image")
        var converter = ImageConverter(
            input: try save(as: format.layout == .mappedRAM ? .mappedRAM : .sequential),
            output: path,
            format: format
        )
        converter.xml = format.libvirt != nil ? Self.xml : nil
        try converter.convert()
        return path
    }

    private func report(_ path: String, hasFields: Bool = false) throws -> ImageReport {
        try ImageInspection(of: path).report(hasFields: hasFields)
    }

    /// Pages of the guest that aren't zero, for each block.
    private var dataPageCounts: [UInt64] {
        guest.blocks.map { block in
            (0..<block.pageCount).reduce(0) { count, page in
                let start = UnsafeRawPointer(block.base + page * targetPageByteCount)
                let bytes = UnsafeRawBufferPointer(start: start, count: targetPageByteCount)
                return count + (bytes.contains { $0 != 0 } ? 1 : 0)
            }
        }
    }

    @Test(arguments: ImageFormat.allCases)
    func `an image of any form is known and counted`(format: ImageFormat) throws {
        let path = try image(as: format)
        let found = try report(path)
        #expect(found.problem == nil)
        #expect(found.content == (format.libvirt == nil ? .stream : .libvirt))
        #expect(found.compression?.rawValue == format.libvirt?.compression?.rawValue)
        #expect(found.layout == (format.layout == .mappedRAM ? .mappedRAM : .sequential))
        #expect(found.machine == "pc-q35-10.0")
        #expect(found.runState == "running")
        #expect(found.capabilities == (format.layout == .mappedRAM ? ["mapped-ram"] : []))
        #expect(found.blocks.map(\.name) == guest.blocks.map(\.id))
        #expect(found.blocks.map(\.size) == Self.pageCounts.map { UInt64($0) * 4096 })
        #expect(found.blocks.map(\.pages.total) == Self.pageCounts.map { UInt64($0) })
        #expect(found.blocks.map(\.pages.data) == dataPageCounts)
        for block in found.blocks {
            let pages = block.pages
            #expect(pages.data + pages.zero + pages.absent == pages.total)
            #expect(pages.absent == 0)
            #expect((block.pagesOffset != nil) == (format.layout == .mappedRAM))
        }
        #expect(found.pages?.data == dataPageCounts.reduce(0, +))
        #expect(found.devices?.map(\.name) == ["timer", "globalstate"])
        #expect(found.trailing == nil)
        #expect((found.libvirt != nil) == (format.libvirt != nil))
        if let libvirt = found.libvirt {
            #expect(libvirt.complete)
            #expect(libvirt.wasRunning)
            #expect(libvirt.format == format.libvirt?.rawValue)
            #expect(libvirt.formatName == "\(format.rawValue.dropFirst("libvirt-".count))")
            #expect(Array(libvirt.xml.utf8) == Self.xml)
            #expect(libvirt.cookie == nil)
        }
        let size = try contents(of: path).count
        #expect(found.size == UInt64(size))
        #expect(
            found.streamOffset
                == (format.libvirt == nil ? 0 : 92 + UInt64(found.libvirt?.dataSize ?? 0))
        )
        if found.compression == nil {
            #expect(found.streamEnd == UInt64(size))
        }
    }

    @Test func `pages that came twice are counted`() throws {
        let found = try report(save(as: .sequential))
        // The guest sends all its pages in each of two rounds.
        #expect(found.blocks.map(\.pages.repeated) == Self.pageCounts.map { UInt64($0) })
        let mapped = try report(save(as: .mappedRAM))
        #expect(mapped.pages?.repeated == 0)
    }

    /// The header of a section is where the report says it is.
    @Test(arguments: ImageFormat.bare, [false, true])
    func `sections are at their offsets`(format: ImageFormat, hasEarlySections: Bool) throws {
        let path = try save(as: format, hasEarlySections: hasEarlySections)
        let bytes = try contents(of: path)
        let devices = try #require(try report(path).devices)
        #expect(devices.count == (hasEarlySections ? 3 : 2))
        for device in devices {
            var cursor = WireCursor(offset: Int(device.offset))
            let header = try SectionHeader(decoding: &cursor, bytes.span)
            #expect(header.kind == .full)
            #expect(header.identity?.name == device.name)
            #expect(header.identity?.instance == device.instance)
            #expect(header.identity?.version == device.version)
            let end = cursor.offset + Int(device.size)
            #expect(bytes[end] == 0x7e)
            #expect(device.part == .full)
            // Without description no fields; the guest with early sections has none.
            #expect((device.problem != nil) == hasEarlySections)
        }
    }

    @Test func `fields are in the report if they are asked for`() throws {
        let path = try save(as: .mappedRAM)
        let without = try #require(try report(path).devices?.first)
        #expect(without.fields == nil)
        let with = try #require(try report(path, hasFields: true).devices?.last)
        let fields = try #require(with.fields)
        #expect(fields.map(\.name).prefix(2) == ["size", "runstate"])
        #expect(fields.first?.value == .integer(8))
        #expect(fields.first?.bytes == nil)
        #expect(fields.dropFirst().first?.bytes?.hasPrefix("72756e6e696e6700") == true)
        #expect(fields.reduce(0) { $0 + $1.size } == with.size)
        let text = try ImageInspection(of: path).text(hasFields: true)
        #expect(text.contains("runstate (buffer): \"running\"\n"))
    }

    /// What is printed is what the schema says, no more and no less.
    @Test(arguments: ImageFormat.allCases)
    func `JSON has the schema's shape`(format: ImageFormat) throws {
        let inspection = try ImageInspection(of: try image(as: format))
        for hasFields in [false, true] {
            let text = inspection.json(hasFields: hasFields)
            let value = try parseJSON(Array(text.utf8))
            let decoded = try ImageReport.decode(value, at: ArgumentPlace())
            #expect(decoded.toJSON() == value)
            #expect(decoded.file == inspection.image.path)
            #expect(decoded.blocks.count == Self.pageCounts.count)
        }
    }

    /// The beginning of an ELF file: its type has the byte order that byte 5 says.
    private static func elf(type: [UInt8], order: UInt8) -> [UInt8] {
        [0x7f, 0x45, 0x4c, 0x46, 2, order, 1, 0] + [UInt8](repeating: 0, count: 8) + type
    }

    @Test(
        arguments: [
            ([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3], "a qcow2 disk image"),
            (elf(type: [4, 0], order: 1), "an ELF core (of a process, or a dump of"),
            (elf(type: [0, 4], order: 2), "an ELF core (of a process, or a dump of"),
            (elf(type: [3, 0], order: 1), "an ELF file (a program or a library)"),
            (elf(type: [4, 0], order: 2), "an ELF file (a program or a library)"),
            (Array("Xen saved domain".utf8), "a save file of Xen's xl"),
            (Array("LinuxGuestRecord".utf8), "a save file of Xen in the old format"),
            (Array("<<< Oracle VM VirtualBox Disk Image >>>\n".utf8), "a VDI disk image"),
            (Array("<domain type='kvm'>".utf8), "an XML document"),
            (Array("<?xml version='1.0'?>".utf8), "an XML document"),
            (Array("<!-- by hand -->".utf8), "an XML document"),
        ] as [([UInt8], String)]
    )
    func `files of others are named`(bytes: [UInt8], name: String) throws {
        let path = directory.file("foreign")
        try store(bytes + [UInt8](repeating: 0, count: 9000), at: path)
        let inspection = try ImageInspection(of: path)
        #expect(inspection.problem == nil)
        let found = inspection.report(hasFields: false)
        #expect(found.content == .foreign)
        #expect(found.description?.hasPrefix(name) == true)
        #expect(found.blocks.isEmpty)
        #expect(found.devices == nil)
        let text = inspection.text(hasFields: false)
        #expect(text.contains(name))
        #expect(text.contains(", not a saved guest of QEMU\n"))
        let shown: HTML = "\(name)"
        #expect(inspection.page.document.contains(shown.source))
    }

    @Test(
        arguments: [
            ([], .empty), (Array("once upon a time".utf8), .unknown),
            (Array("<< once upon a time".utf8), .unknown),
            ([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], .compressedStream),
            (Array("LibvirtQemudSave".utf8), .libvirt),
            ([0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 4, 0x6e], .cutOff),
            ([0x51, 0x45, 0x56, 0x4d], .stream),
        ] as [([UInt8], ImageContentKind)]
    )
    func `what can't be read is a problem, and told`(
        bytes: [UInt8],
        kind: ImageContentKind
    ) throws {
        let path = directory.file("bad")
        try store(bytes, at: path)
        let inspection = try ImageInspection(of: path)
        let found = inspection.report(hasFields: true)
        #expect(found.content == kind)
        #expect(found.problem?.message.isEmpty == false)
        #expect(found.problem?.message.contains(path) == true)
        #expect(found.devices == nil)
        #expect(inspection.text(hasFields: true).hasPrefix("\(path): "))
        let problem = try #require(inspection.problem)
        let shown: HTML = "\(problem.description)"
        #expect(inspection.page.document.contains(shown.source))
    }

    @Test func `a file that isn't there is no inspection`() throws {
        #expect(throws: ImageError.self) { try ImageInspection(of: directory.file("nothing")) }
        #expect(throws: ImageError.self) { try ImageInspection(of: directory.path) }
    }

    /// Cut off at every one of these places, an image gives what comes before.
    @Test(arguments: ImageFormat.bare)
    func `a cut-off image tells what was found`(format: ImageFormat) throws {
        let path = try save(as: format)
        let bytes = try contents(of: path)
        let whole = try report(path)
        let lastDevice = try #require(whole.devices?.last)
        for count in stride(from: 1, to: bytes.count, by: bytes.count / 97)
            + [Int(lastDevice.offset), Int(lastDevice.offset) + 30]
        {
            try store(Array(bytes.prefix(count)), at: path)
            let inspection = try ImageInspection(of: path)
            let found = inspection.report(hasFields: true)
            #expect(found.problem != nil, "cut off at \(count)")
            #expect(found.devices == nil)
            #expect(inspection.text(hasFields: true).isEmpty == false)
        }
        // All of the RAM is there, and known.
        try store(Array(bytes.prefix(Int(lastDevice.offset))), at: path)
        let found = try report(path)
        #expect(found.machine == whole.machine)
        #expect(found.blocks.map(\.pages.data) == whole.blocks.map(\.pages.data))
    }

    @Test func `a partial libvirt file says so`() throws {
        let path = try image(as: .libvirtRaw)
        var bytes = try contents(of: path)
        bytes.replaceSubrange(0..<16, with: Array("LibvirtQemudPart".utf8))
        try store(bytes, at: path)
        let inspection = try ImageInspection(of: path)
        #expect(inspection.problem == nil)
        #expect(inspection.report(hasFields: false).libvirt?.complete == false)
        #expect(inspection.text(hasFields: false).contains("unfinished"))
    }

    @Test func `bytes behind the stream are told`() throws {
        let path = try save(as: .sequential)
        let bytes = try contents(of: path)
        try store(bytes + [UInt8](repeating: 7, count: 1234), at: path)
        let found = try report(path)
        #expect(found.problem == nil)
        #expect(found.trailing == 1234)
        #expect(found.streamEnd == UInt64(bytes.count))
    }

    /// A sequential stream need not mention a page that nobody has touched.
    @Test func `pages that never came are absent`() throws {
        let path = directory.file("image")
        let file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        let writer = SequentialWriter(StreamOutput(try Channel(file, name: path)))
        try writer.begin(
            StreamPlan(
                configuration: ConfigurationSection(machineName: "none"),
                ramSectionID: 2,
                opensReturnPath: false
            ),
            blocks: guest.listed,
            earlySections: []
        )
        try writer.beginIteration()
        let scanner = GuestScanner(detectsZeroPages: true)
        var dirty = PageBitmap(pageCount: Self.pageCounts[0])
        dirty.set(20..<120, to: true)
        var next = 0
        while next < Self.pageCounts[0] {
            _ = try scanner.send(
                guest.blocks[0],
                index: 0,
                dirty: &dirty,
                from: &next,
                limit: 1000,
                to: writer
            )
        }
        try writer.endIteration()
        try writer.beginCompletion(announced: true)
        let state = DeviceState.fresh(runState: "running", machineName: "none")
        try writer.finish(
            deviceSections: state.final.encoded(footers: true),
            description: state.description ?? []
        )
        let inspection = try ImageInspection(of: path)
        let found = inspection.report(hasFields: false)
        #expect(found.problem == nil)
        #expect(found.blocks.map(\.pages.absent) == [800, 64, 65, 1])
        let first = try #require(found.blocks.first?.pages)
        #expect(first.data + first.zero == 100)
        #expect(inspection.text(hasFields: false).contains("930 absent"))
        // The map shows them, and its legend names them.
        let document = inspection.page.document
        #expect(document.contains("absent: never mentioned"))
        let picture = try HTMLPicture(firstIn: document)
        let colors = Set(picture.pixels.prefix(20))
        #expect(colors.count == 1)
        #expect(!picture.pixels[20..<120].contains { colors.contains($0) })
    }

    @Test(arguments: ImageFormat.bare)
    func `a seal is told, and isn't taken for trailing bytes`(format: ImageFormat) throws {
        let path = try save(as: format)
        let end = try contents(of: path).count
        try ImageSealer(path: path).seal(.crc32c)
        let found = try report(path)
        #expect(found.problem == nil)
        #expect(found.trailing == nil)
        #expect(found.streamEnd == UInt64(end))
        let seal = try #require(found.seal)
        #expect(seal.algorithm == "crc32c")
        #expect(seal.offset >= UInt64(end))
        #expect(seal.offset + seal.size == found.size)
        #expect(found.cutOffSeal == nil)
        // Without its end mark it is no seal any more, but for what it was.
        try store(Array(contents(of: path).dropLast(1)), at: path)
        let cut = try report(path)
        #expect(cut.seal == nil)
        #expect(cut.cutOffSeal == seal.offset)
        #expect(cut.trailing == nil)
    }

    /// Whatever a stranger changes, the rest is told, and nothing traps.
    @Test(arguments: ImageFormat.bare)
    func `no damage stops an inspection`(format: ImageFormat) throws {
        let small = try RelayGuest(pageCounts: [3, 1])
        let path = directory.file("small")
        let file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        try small.save(to: Channel(file, name: path), as: format)
        let bytes = try contents(of: path)
        let places = bytes.indices.filter { bytes[$0] > 0 || $0 % 4096 < 8 }
        for (number, place) in places.enumerated() where number % 29 == 0 {
            var damaged = bytes
            damaged[place] ^= UInt8(1 << (number % 8))
            try store(damaged, at: path)
            let inspection = try ImageInspection(of: path)
            let found = inspection.report(hasFields: true)
            #expect((found.problem != nil) == (inspection.problem != nil))
            #expect(inspection.text(hasFields: true).hasPrefix(path))
            #expect(inspection.page.document.hasSuffix("</html>\n"))
        }
    }

    /// A name in a file must not command the terminal or the browser of who looks at it.
    @Test func `strangers' texts do no harm`() throws {
        let path = directory.file("image")
        let evil = "<script>alert(1)</script>\u{1b}[2J\u{9b}5m"
        // No XML, which a conversion wouldn't take: somebody has written it into the file.
        let name = [UInt8](repeating: 0x78, count: evil.utf8.count)
        var converter = ImageConverter(
            input: try save(as: .sequential),
            output: path,
            format: .libvirtRaw
        )
        converter.xml = Array("<domain><name>".utf8) + name + Array("</name></domain>".utf8)
        try converter.convert()
        var bytes = try contents(of: path)
        let place = try #require(firstIndex(of: name, in: bytes))
        bytes.replaceSubrange(place..<place + name.count, with: Array(evil.utf8))
        try store(bytes, at: path)
        let inspection = try ImageInspection(of: path)
        let text = inspection.text(hasFields: true)
        #expect(text.contains("<script>alert(1)</script>\u{fffd}[2J\u{fffd}5m"))
        #expect(!text.unicodeScalars.contains("\u{1b}"))
        let document = inspection.page.document
        #expect(document.contains("&lt;script&gt;alert(1)"))
        #expect(!document.contains("<script>alert"))
        #expect(!document.unicodeScalars.contains("\u{1b}"))
    }

    /// A guest of 16 GiB with little in it: nothing may be read for pages that aren't there.
    @Test func `an inspection of a large sparse image reads little`() throws {
        let path = directory.file("large")
        let pageCount = 16 << 18
        let file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
        let block = try RAMBlock(id: "pc.ram", byteCount: pageCount * targetPageByteCount)
        for page in [0, 1, 7, pageCount / 2, pageCount - 1] {
            block.base.storeBytes(
                of: 7,
                toByteOffset: page * targetPageByteCount,
                as: UInt64.self
            )
        }
        let writer = MappedWriter(StreamOutput(try Channel(file, name: path)))
        try writer.begin(
            StreamPlan(
                configuration: ConfigurationSection(machineName: "pc-q35-10.0"),
                ramSectionID: 2,
                opensReturnPath: false
            ),
            blocks: [StreamBlock(name: "pc.ram", byteCount: block.byteCount)],
            earlySections: []
        )
        try writer.beginIteration()
        let scanner = GuestScanner(detectsZeroPages: true)
        for page in [0, 1, 7, pageCount / 2, pageCount - 1] {
            var dirty = PageBitmap(pageCount: pageCount)
            dirty.set(page..<page + 1, to: true)
            var next = page
            _ = try scanner.send(
                block,
                index: 0,
                dirty: &dirty,
                from: &next,
                limit: 1,
                to: writer
            )
        }
        try writer.endIteration()
        try writer.beginCompletion(announced: true)
        let state = DeviceState.fresh(runState: "running", machineName: "pc-q35-10.0")
        try writer.finish(
            deviceSections: state.final.encoded(footers: true),
            description: state.description ?? []
        )
        let before = try Self.readByteCount()
        let inspection = try ImageInspection(of: path)
        let read = try Self.readByteCount() - before
        #expect(read < 2 << 20)
        let found = inspection.report(hasFields: false)
        #expect(found.problem == nil)
        #expect(found.pages?.total == UInt64(pageCount))
        #expect(found.pages?.data == 5)
        #expect(found.size > 16 << 30)
        #expect(found.diskSize < 1 << 20)
    }

    /// Bytes that this process has read with system calls.
    private static func readByteCount() throws -> Int {
        let text = String(decoding: try contents(of: "/proc/self/io"), as: UTF8.self)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("rchar: ") })
        return try #require(Int(line.dropFirst("rchar: ".count)))
    }
}
