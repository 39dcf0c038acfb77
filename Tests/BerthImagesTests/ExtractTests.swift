import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Foundation
import Glibc
import Testing

@testable import BerthImages

/// `berth extract` without the process around it.
@Suite(.timeLimit(.minutes(5)))
struct ExtractTests {
    private let directory: PeersDirectory

    init() throws {
        directory = try PeersDirectory()
    }

    /// A guest of 64 pages of RAM, a few of them filled, and some video memory.
    private func guest() throws -> SavedGuest {
        let guest = try SavedGuest(["vga.vram": 4, "pc.ram": 64])
        for page in [0, 1, 15, 16, 40, 63] {
            guest.fill(1, page)
        }
        guest.fill(0, 2)
        return guest
    }

    /// An extractor that lets low memory end after 16 pages.
    private func extractor(
        _ guest: SavedGuest,
        _ layout: StreamLayout,
        detectsZeroPages: Bool = true
    ) throws -> ImageExtractor {
        let path = directory.file("image-\(layout.rawValue)")
        try guest.save(to: path, as: layout, detectsZeroPages: detectsZeroPages)
        var extractor = try ImageExtractor(GuestImage(opening: path))
        extractor.options.lowMemory = 16 * 4096
        return extractor
    }

    private func bytes(_ path: String, at offset: UInt64, _ byteCount: Int) throws -> [UInt8] {
        let file = try FileHandle(forReadingFrom: URL(filePath: path))
        try file.seek(toOffset: offset)
        return try Array(file.read(upToCount: byteCount) ?? Data())
    }

    private func size(_ path: String) throws -> (length: UInt64, allocated: UInt64) {
        let status = try FileStatus(path: path)
        return (status.byteCount, status.allocatedByteCount)
    }

    private let zeroPage = [UInt8](repeating: 0, count: 4096)

    @Test(arguments: StreamLayout.allCases, [true, false])
    func `raw memory has each byte at its address, and holes`(
        _ layout: StreamLayout,
        _ detectsZeroPages: Bool
    ) throws {
        let guest = try guest()
        let path = directory.file("raw")
        let report = try extractor(guest, layout, detectsZeroPages: detectsZeroPages)
            .writeRaw(to: path)
        #expect(report.layout.unplaced == [0])
        for page in 0..<64 {
            let address = page < 16 ? UInt64(page) << 12 : 1 << 32 + UInt64(page - 16) << 12
            #expect(try bytes(path, at: address, 4096) == guest.page(1, page), "page \(page)")
        }
        #expect(try bytes(path, at: 16 * 4096, 4096) == zeroPage)
        let (length, allocated) = try size(path)
        #expect(length == 1 << 32 + 48 << 12)
        // Six pages have content; file systems allocate some more.
        #expect(allocated <= 40 * 4096)
    }

    @Test(arguments: StreamLayout.allCases)
    func `a core has the memory where its head says`(_ layout: StreamLayout) throws {
        let guest = try guest()
        let path = directory.file("core")
        let report = try extractor(guest, layout).writeELF(to: path)
        #expect(report.processorCount == 0)
        #expect(report.problem == "the image has no section 'cpu'")
        let core = ELFCore(report.layout, processors: [])
        #expect(try bytes(path, at: 0, core.head.count) == core.head)
        for page in 0..<64 {
            let offset =
                page < 16
                ? core.offsets[0] + UInt64(page) << 12 : core.offsets[1] + UInt64(page - 16) << 12
            #expect(try bytes(path, at: offset, 4096) == guest.page(1, page), "page \(page)")
        }
        let (length, allocated) = try size(path)
        #expect(length == core.byteCount)
        #expect(allocated <= 40 * 4096)
    }

    @Test func `one block is written from its first byte on`() throws {
        let guest = try guest()
        let path = directory.file("block")
        let extractor = try extractor(guest, .mappedRAM)
        try extractor.writeBlock("vga.vram", to: path)
        #expect(
            try bytes(path, at: 0, 99_999) == zeroPage + zeroPage + guest.page(0, 2) + zeroPage
        )
        let error = #expect(throws: ImageError.self) {
            try extractor.writeBlock("pc.rom", to: directory.file("other"))
        }
        #expect(error?.description == "there is no block 'pc.rom'")
        #expect(error?.hint == "there are 'vga.vram', 'pc.ram'")
        #expect(access(directory.file("other"), F_OK) != 0)
    }

    @Test(arguments: StreamLayout.allCases)
    func `one page is found by its block or address`(_ layout: StreamLayout) throws {
        let guest = try guest()
        let extractor = try extractor(guest, layout)
        #expect(try extractor.page(.block("vga.vram", offset: 8192)) == guest.page(0, 2))
        #expect(try extractor.page(.block("pc.ram", offset: 63 * 4096 + 77)) == guest.page(1, 63))
        #expect(try extractor.page(.block("pc.ram", offset: 2 * 4096)) == zeroPage)
        #expect(try extractor.page(.address(0xFFFF)) == guest.page(1, 15))
        #expect(try extractor.page(.address(1 << 32)) == guest.page(1, 16))
        for (place, text) in [
            (PagePlace.block("pc.ram", offset: 64 * 4096), "has no offset 0x40000"),
            (.block("pc.ram", offset: .max), "has no offset 0xffffffffffffffff"),
            (.block("pc.rom", offset: 0), "there is no block 'pc.rom'"),
            (.address(0x10000), "no RAM is at address 0x10000"),
            (.address(.max), "no RAM is at address 0xffffffffffffffff"),
        ] {
            let error = #expect(throws: ImageError.self) { try extractor.page(place) }
            #expect(error?.description.contains(text) == true, "\(place)")
        }
    }

    @Test func `a device section is found by its name and instance`() throws {
        var guest = try guest()
        for (instance, body) in [(0 as UInt32, [1, 2, 3] as [UInt8]), (1, [4, 5])] {
            guest.state.final.append(
                id: 20 + instance,
                identity: .init(name: "0000:00:1f.2/ahci", instance: instance, version: 1),
                body: body,
                footer: true
            )
        }
        guest.state.description = nil
        let extractor = try extractor(guest, .sequential)
        #expect(try extractor.section("timer").count == 24)
        #expect(try extractor.section("timer/0").count == 24)
        #expect(try extractor.section("0000:00:1f.2/ahci/0") == [1, 2, 3])
        #expect(try extractor.section("0000:00:1f.2/ahci/1") == [4, 5])
        let several = #expect(throws: ImageError.self) {
            try extractor.section("0000:00:1f.2/ahci")
        }
        #expect(several?.description == "2 device sections are called '0000:00:1f.2/ahci'")
        #expect(several?.hint == "say which: 0000:00:1f.2/ahci/0, 0000:00:1f.2/ahci/1")
        for name in ["nothing", "timer/1", "0000:00:1f.2/ahci/2", ""] {
            let error = #expect(throws: ImageError.self) { try extractor.section(name) }
            #expect(error?.description == "there is no device section '\(name)'")
        }
        let none = #expect(throws: ImageError.self) { try extractor.description() }
        #expect(none?.description.hasSuffix("has no description of its devices") == true)
    }

    @Test func `texts come out as they went in`() throws {
        let guest = try guest()
        let bare = try extractor(guest, .sequential)
        #expect(try bare.description() == guest.state.description)
        #expect(throws: ImageError.self) { try bare.xml() }
        #expect(throws: ImageError.self) { try bare.cookie() }
        let xml = Array("<domain type='kvm'>\n  <name>vm</name>\n</domain>\n".utf8)
        var converter = ImageConverter(
            input: directory.file("image-sequential"),
            output: directory.file("saved"),
            format: .libvirtSparse
        )
        converter.xml = xml
        try converter.convert()
        let libvirt = try ImageExtractor(GuestImage(opening: directory.file("saved")))
        #expect(try libvirt.xml() == xml)
        #expect(throws: ImageError.self) { try libvirt.cookie() }
        #expect(try libvirt.description() == guest.state.description)
    }

    @Test func `what was there stays if memory can't be laid out`() throws {
        var guest = try guest()
        guest.machineName = "virt-10.0"
        let path = directory.file("old")
        try store([1, 2, 3], at: path)
        var extractor = try extractor(guest, .mappedRAM)
        extractor.options = LayoutOptions()
        #expect(throws: ImageError.self) { try extractor.writeRaw(to: path) }
        #expect(throws: ImageError.self) { try extractor.writeELF(to: path) }
        #expect(try contents(of: path) == [1, 2, 3])
        let device = #expect(throws: ImageError.self) {
            try extractor.writeBlock("pc.ram", to: "/dev/null")
        }
        #expect(device?.description.contains("can't have holes") == true)
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        #expect(names.sorted() == ["image-mapped-ram", "old"])
    }

    /// Fields of a processor's section as QEMU 10.0 describes them, cut down; and their bytes.
    private func processor(_ number: UInt64) -> (text: String, body: [UInt8]) {
        var body: [UInt8] = []
        for register in 0..<16 as Range<UInt64> { body.appendBigEndian(number << 32 | register) }
        for word in [0x1000 + number, 0x246] { body.appendBigEndian(word) }
        for segment in 0..<10 as Range<UInt32> {
            body.appendBigEndian(8 * segment)
            body.appendBigEndian(UInt64(segment) << 20)
            body.appendBigEndian(0xFFFF + segment)
            body.appendBigEndian(0x9300 + segment)
        }
        for word in [0x8000_0011, 0x2000, 0x3000, 0x4000, 0x5000] as [UInt64] {
            body.appendBigEndian(word)
        }
        func field(_ name: String, _ type: String, _ size: Int, _ rest: String = "") -> String {
            #"{"name": "env.\#(name)", \#(rest)"type": "\#(type)", "size": \#(size)}"#
        }
        func segments(_ name: String, _ rest: String = "") -> String {
            let fields = [("selector", 32), ("base", 64), ("limit", 32), ("flags", 32)].map {
                #"{"name": "\#($0)", "type": "uint\#($1)", "size": \#($1 / 8)}"#
            }
            .joined(separator: ", ")
            let structure =
                #""struct": {"vmsd_name": "segment", "version": 1, "fields": [\#(fields)]}, "#
            return #"{"name": "env.\#(name)", \#(rest)"type": "struct", \#(structure)"size": 20}"#
        }
        let fields =
            [
                field("regs", "uint64", 8, #""array_len": 16, "#), field("eip", "uint64", 8),
                field("eflags", "uint64", 8), segments("segs", #""array_len": 6, "#),
                segments("ldt"), segments("tr"), segments("gdt"), segments("idt"),
            ] + ["cr[0]", "cr[2]", "cr[3]", "cr[4]", "kernelgsbase"].map { field($0, "uint64", 8) }
        let text =
            #"{"name": "cpu", "instance_id": \#(number), "vmsd_name": "cpu", "version": 12, "#
            + #""fields": [\#(fields.joined(separator: ", "))]}"#
        return (text, body)
    }

    private func state(_ processors: [(text: String, body: [UInt8])]) -> DeviceState {
        var run = DeviceSectionRun()
        for (index, processor) in processors.enumerated() {
            run.append(
                id: UInt32(index),
                identity: .init(name: "cpu", instance: UInt32(index), version: 12),
                body: processor.body,
                footer: true
            )
        }
        let devices = processors.map(\.text).joined(separator: ", ")
        return DeviceState(
            final: run,
            description: Array(#"{"page_size": 4096, "devices": [\#(devices)]}"#.utf8)
        )
    }

    @Test func `registers are read along the description`() throws {
        let (registers, problem) = X86Registers.all(in: state([processor(0), processor(1)]))
        #expect(problem == nil)
        #expect(registers.count == 2)
        let second = try #require(registers.last)
        #expect(second.general == (0..<16).map { 1 << 32 | $0 })
        #expect(second.rip == 0x1001)
        #expect(second.rflags == 0x246)
        let all = second.segments + [second.ldt, second.tr, second.gdt, second.idt]
        #expect(
            all
                == (0..<10).map {
                    X86Segment(
                        selector: 8 * $0,
                        base: UInt64($0) << 20,
                        limit: 0xFFFF + $0,
                        flags: 0x9300 + $0
                    )
                }
        )
        #expect(second.control == [0x8000_0011, 0, 0x2000, 0x3000, 0x4000])
        #expect(second.kernelGSBase == 0x5000)
    }

    @Test(arguments: StreamLayout.allCases)
    func `a changed byte anywhere is an error or another result`(_ layout: StreamLayout) throws {
        var guest = try SavedGuest(["pc.ram": 3])
        guest.fill(0, 1)
        guest.state = state([processor(0)])
        let path = directory.file("image")
        try guest.save(to: path, as: layout)
        let whole = try GuestImage(opening: path)
        let bytes = try contents(of: path)
        let page = try #require(firstIndex(of: guest.page(0, 1), in: bytes))
        let changedPath = directory.file("changed")
        var outcomes = (errors: 0, results: 0)
        // Not those of the page, nor what is zero between the parts of a mapped-ram file; of the
        // description, which is most of the rest, each eighth.
        for index in bytes.indices.filter({ !(page..<page + 4096).contains($0) })
        where bytes[index] != 0 && (index % 8 == 0 || index < 200) {
            var changed = bytes
            changed[index] ^= 0x81
            try store(changed, at: changedPath)
            if canUse(changedPath, beside: whole) {
                outcomes.results += 1
            } else {
                outcomes.errors += 1
            }
        }
        #expect(outcomes.errors > 10)
        #expect(outcomes.results > 50)
    }

    /// Whether an image can be extracted from and compared, which a strange one may refuse.
    private func canUse(_ path: String, beside whole: GuestImage) -> Bool {
        do throws(ImageError) {
            let image = try GuestImage(opening: path)
            let received = try image.pages().received
            _ = try ELFCore(
                PhysicalLayout(of: received),
                processors: X86Registers.all(in: received.deviceState).processors
            )
            _ = try ImageDifference(between: whole, and: image)
            return true
        } catch {
            return false
        }
    }

    @Test func `a description that doesn't fit gives no registers`() {
        let good = processor(0)
        // Every shorter body, every field missing by another name or of another type.
        for byteCount in 0..<good.body.count {
            let cut = (good.text, Array(good.body[..<byteCount]))
            let (registers, problem) = X86Registers.all(in: state([cut]))
            #expect(registers.isEmpty, "\(byteCount) bytes")
            #expect(problem?.hasPrefix("section 'cpu' 0 can't be read: ") == true)
        }
        let renamed = ["regs", "eip", "eflags", "segs", "ldt", "tr", "gdt", "idt", "cr[3]"]
        for name in renamed {
            let text = good.text.replacing("\"env.\(name)\"", with: "\"env.other\"")
            #expect(X86Registers.all(in: state([(text, good.body)])).processors.isEmpty, "\(name)")
        }
        let signed = good.text.replacing("uint64", with: "int64")
        #expect(X86Registers.all(in: state([(signed, good.body)])).processors.isEmpty)
        #expect(X86Registers.all(in: state([])).problem == "the image has no section 'cpu'")
    }
}
