import BerthMemory
import BerthQAPI
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

@testable import BerthImages

/// `berth diff` without the process around it.
@Suite(.timeLimit(.minutes(5)))
struct DiffTests {
    private let directory: PeersDirectory

    init() throws {
        directory = try PeersDirectory()
    }

    private func image(
        _ guest: SavedGuest,
        _ name: String,
        _ layout: StreamLayout,
        detectsZeroPages: Bool = true
    ) throws -> GuestImage {
        let path = directory.file("\(name)-\(layout.rawValue)")
        try guest.save(to: path, as: layout, detectsZeroPages: detectsZeroPages)
        return try GuestImage(opening: path)
    }

    private func guest() throws -> SavedGuest {
        let guest = try SavedGuest(["pc.ram": 700, "vga.vram": 3])
        for page in stride(from: 0, to: 700, by: 3) {
            guest.fill(0, page)
        }
        return guest
    }

    private func text(_ difference: ImageDifference, listsPages: Bool = false) -> [String] {
        var lines: [String] = []
        difference.write(listsPages: listsPages) { lines.append($0) }
        return lines
    }

    private func pages(_ bitmap: PageBitmap) -> [Int] {
        (0..<bitmap.pageCount).filter { bitmap[$0] }
    }

    private static let layouts: [(StreamLayout, StreamLayout)] = StreamLayout.allCases.flatMap {
        one in StreamLayout.allCases.map { (one, $0) }
    }

    @Test(arguments: layouts, [true, false])
    func `a guest saved in two ways has no difference`(
        _ layouts: (StreamLayout, StreamLayout),
        _ detectsZeroPages: Bool
    ) throws {
        let guest = try guest()
        let difference = try ImageDifference(
            between: image(guest, "one", layouts.0, detectsZeroPages: detectsZeroPages),
            and: image(guest, "other", layouts.1)
        )
        #expect(difference.isSame)
        #expect(difference.differingPageCount == 0)
        #expect(difference.blocks[0].same.count == 234)
        #expect(text(difference, listsPages: true).isEmpty)
        #expect(difference.report(listsPages: true).same)
    }

    @Test(arguments: layouts, [true, false])
    func `every page that differs is found, and how`(
        _ layouts: (StreamLayout, StreamLayout),
        _ detectsZeroPages: Bool
    ) throws {
        let (one, other) = (try guest(), try guest())
        // Pages that are divisible by three have content in both.
        for page in [0, 3, 6, 600, 699] { other.fill(0, page, version: 2) }
        for page in [1, 2, 4, 511, 698] { one.fill(0, page) }
        for page in [5, 7, 8, 512, 697] { other.fill(0, page) }
        // The last bit of the last byte.
        other.blocks[1].base.storeBytes(of: 0x80, toByteOffset: 3 * 4096 - 1, as: UInt8.self)
        let difference = try ImageDifference(
            between: image(one, "one", layouts.0, detectsZeroPages: detectsZeroPages),
            and: image(other, "other", layouts.1, detectsZeroPages: detectsZeroPages)
        )
        let block = difference.blocks[0]
        #expect(pages(block.changed) == [0, 3, 6, 600, 699])
        #expect(pages(block.onlyFirst) == [1, 2, 4, 511, 698])
        #expect(pages(block.onlySecond) == [5, 7, 8, 512, 697])
        #expect(block.same.count == 229)
        #expect(pages(difference.blocks[1].onlySecond) == [2])
        #expect(difference.differingPageCount == 16)
        var ranges: [String] = []
        block.visitRanges { ranges.append("\($0) \($1.text)") }
        #expect(
            ranges == [
                "0..<1 changed", "1..<3 only in first", "3..<4 changed", "4..<5 only in first",
                "5..<6 only in second", "6..<7 changed", "7..<9 only in second",
                "511..<512 only in first", "512..<513 only in second", "600..<601 changed",
                "697..<698 only in second", "698..<699 only in first", "699..<700 changed",
            ]
        )
        #expect(text(difference, listsPages: true).contains("  pc.ram 0x1000-0x2fff only in first"))
        // The other way round, nothing but the sides is different.
        let back = try ImageDifference(
            between: GuestImage(opening: directory.file("other-\(layouts.1.rawValue)")),
            and: GuestImage(opening: directory.file("one-\(layouts.0.rawValue)"))
        )
        #expect(back.blocks[0].changed == block.changed)
        #expect(back.blocks[0].onlyFirst == block.onlySecond)
        #expect(back.blocks[0].onlySecond == block.onlyFirst)
        #expect(back.blocks[0].same == block.same)
    }

    @Test func `blocks that are longer, or in one image only, are told`() throws {
        let one = try SavedGuest(["pc.ram": 20, "gone": 300, "short": 10])
        let other = try SavedGuest(["short": 290, "pc.ram": 20, "come": 5])
        for page in [0, 299] { one.fill(1, page) }
        one.fill(2, 9)
        for page in [9, 10, 289] { other.fill(0, page, version: 7) }
        other.fill(2, 4)
        let difference = try ImageDifference(
            between: image(one, "one", .mappedRAM),
            and: image(other, "other", .mappedRAM)
        )
        #expect(difference.blocks.map(\.name) == ["pc.ram", "gone", "short", "come"])
        #expect(difference.blocks[0].isSame)
        #expect(pages(difference.blocks[1].onlyFirst) == [0, 299])
        #expect(pages(difference.blocks[2].changed) == [9])
        #expect(pages(difference.blocks[2].onlySecond) == [10, 289])
        #expect(pages(difference.blocks[3].onlySecond) == [4])
        let lines = text(difference)
        #expect(lines.contains("  'gone' is only in the first, 1.1 MiB"))
        #expect(lines.contains("  'short' has 40 KiB in the first, 1.1 MiB in the second"))
        #expect(lines.contains("  'come' is only in the second, 20 KiB"))
        #expect(!lines.contains { $0.contains("pc.ram") })
        let report = difference.report(listsPages: false)
        #expect(report.blocks.map(\.firstSize) == [81920, 1_228_800, 40960, nil])
        #expect(report.blocks.map(\.secondSize) == [81920, nil, 1_187_840, 20480])
        #expect(report.blocks.allSatisfy { $0.ranges == nil })
    }

    @Test func `machine, run state and devices are told`() throws {
        let one = try guest()
        var other = try guest()
        other.machineName = "pc-q35-9.2"
        other.state = .fresh(runState: "paused", machineName: "pc-q35-9.2")
        for (guest, name) in [(one, "a"), (other, "b")] {
            var guest = guest
            guest.state.description = nil
            _ = try image(guest, name, .sequential)
        }
        let difference = try ImageDifference(
            between: image(one, "one", .sequential),
            and: image(other, "other", .mappedRAM)
        )
        #expect(
            difference.properties == [
                .init(name: "machine", first: "pc-q35-10.0", second: "pc-q35-9.2"),
                .init(name: "run state", first: "running", second: "paused"),
            ]
        )
        #expect(difference.devices.map(\.name) == ["globalstate"])
        let fields = difference.devices[0].fields
        #expect(fields.map(\.path) == ["size", "runstate+0x0"])
        #expect(fields[0] == .init(path: "size", first: "8", second: "7"))
        let lines = text(difference)
        #expect(lines.contains("  machine    pc-q35-10.0  pc-q35-9.2"))
        #expect(lines.contains { $0.split(separator: " ") == ["size", "8", "7"] })

        // Without descriptions the bytes are compared.
        let bare = try ImageDifference(
            between: GuestImage(opening: directory.file("a-sequential")),
            and: GuestImage(opening: directory.file("b-sequential"))
        )
        #expect(bare.devices.map(\.name) == ["globalstate"])
        #expect(bare.devices[0].fields.count == 1)
    }

    /// A state with sections of these names, instances, versions and bodies, without description.
    private func state(_ sections: [(String, UInt32, UInt32, [UInt8])]) -> DeviceState {
        var run = DeviceSectionRun()
        for (index, section) in sections.enumerated() {
            run.append(
                id: UInt32(index),
                identity: .init(name: section.0, instance: section.1, version: section.2),
                body: section.3,
                footer: true
            )
        }
        return DeviceState(final: run, description: nil)
    }

    @Test func `sections are matched by name and instance`() {
        let long = [UInt8](repeating: 7, count: 100)
        var changed = long
        changed[50] = 8
        let differences = DeviceDifference.all(
            state([
                ("a", 0, 1, [1]), ("a", 1, 1, [1]), ("gone", 0, 3, [1]), ("v", 0, 1, [9]),
                ("long", 0, 1, long), ("grown", 0, 1, long),
            ]),
            state([
                ("grown", 0, 1, long + [1]), ("long", 0, 1, changed), ("v", 0, 2, [9]),
                ("a", 1, 1, [2]), ("a", 0, 1, [1]), ("come", 5, 1, [1, 2]),
            ])
        )
        let notes = differences.map { "\($0.name)/\($0.instance)\($0.note)" }
        #expect(
            notes == [
                "a/1", "gone/0 is only in the first", "v/0: version 1, then 2", "long/0",
                "grown/0: 100 bytes, then 101", "come/5 is only in the second",
            ]
        )
        #expect(differences[0].fields.map(\.first) == ["01"])
        #expect(differences[0].fields.map(\.second) == ["02"])
        #expect(differences[3].fields.first?.path.hasSuffix("+0x32") == true)
        #expect(
            differences[3].fields.first?.second == "08" + String(repeating: "07", count: 15) + "…"
        )
        #expect(differences[4].fields.first?.first == "nothing")
        #expect(differences[4].fields.first?.second == "01")
    }

    @Test func `fields are told by their paths, and not without end`() {
        func state(_ value: UInt8) -> DeviceState {
            // 3000 fields of a byte, all different from the other side's, one of them twice.
            let fields = (0..<3000).map {
                #"{"name": "f\#($0 == 1 ? 0 : $0)", "type": "uint8", "size": 1}"#
            }
            var state = self.state([("many", 0, 1, [UInt8](repeating: value, count: 3000))])
            state.description = Array(
                (#"{"page_size": 4096, "devices": [{"name": "many", "instance_id": 0, "#
                    + #""vmsd_name": "many", "version": 1, "fields": ["#
                    + fields.joined(separator: ", ") + "]}]}").utf8
            )
            return state
        }
        let differences = DeviceDifference.all(state(1), state(2))
        #expect(differences.count == 1)
        #expect(differences[0].fields.count == DeviceDifference.fieldLimit)
        #expect(differences[0].omittedFieldCount == 2000)
        #expect(differences[0].fields.prefix(3).map(\.path) == ["f0", "f0#2", "f2"])
        #expect(DeviceDifference.all(state(1), state(1)).isEmpty)
    }

    @Test func `names of strangers are escaped in the page and the text`() throws {
        let (one, other) = (try guest(), try guest())
        other.fill(0, 0, version: 9)
        var evil = other
        evil.state.final.append(
            id: 77,
            identity: .init(name: "<script>alert(1)</script>", instance: 0, version: 1),
            body: [1],
            footer: true
        )
        evil.state.description = nil
        let difference = try ImageDifference(
            between: image(one, "one", .mappedRAM),
            and: image(evil, "evil", .mappedRAM)
        )
        let page = difference.page.document
        #expect(!page.contains("<script>alert"))
        #expect(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"))
        #expect(page.contains("1 of 700 pages differ"))
        #expect(page.contains("data:image/png;base64,"))
        #expect(text(difference).contains { $0.contains("is only in the second") })
    }

    @Test(arguments: ReflinkFileSystem.Kind.allCases)
    func `what two images share on the disk isn't read`(_ kind: ReflinkFileSystem.Kind) throws {
        guard let volume = try ReflinkFileSystem.make(kind, in: directory) else { return }
        let guest = try guest()
        let (one, other) = ("\(volume.folder)/one", "\(volume.folder)/other")
        try guest.save(to: one, as: .mappedRAM)
        #expect(try run(["cp", "--reflink=always", one, other]) == 0)
        let first = try GuestImage(opening: one).pages()
        let second = try GuestImage(opening: other).pages()
        var bytes = 0
        first.file.visitShared(
            from: first.census[0].pagesOffset ?? 0,
            with: second.file,
            from: second.census[0].pagesOffset ?? 0,
            byteCount: 700 * 4096
        ) { bytes += $0.count }
        #expect(bytes == 234 * 4096)
        var read = 0
        let difference = try ImageDifference(
            between: GuestImage(opening: one),
            and: GuestImage(opening: other)
        ) { _ in read += 1 }
        #expect(difference.isSame)
        #expect(difference.blocks[0].same.count == 234)
        #expect(read == 0)

        // A page that is written anew is no longer shared, and is found.
        let page = try #require(firstIndex(of: guest.page(0, 600), in: contents(of: other)))
        let file = try OwnedDescriptor.open(other, O_RDWR)
        #expect(pwrite(file.raw, [0xFF] as [UInt8], 1, page + 77) == 1)
        let changed = try ImageDifference(
            between: GuestImage(opening: one),
            and: GuestImage(opening: other)
        )
        #expect(pages(changed.blocks[0].changed) == [600])
        #expect(changed.blocks[0].same.count == 233)
    }

    /// Runs a program of the machine.
    private func run(_ arguments: [String]) throws -> Int {
        let process = try PeersProcess(
            ["/bin/\(arguments[0])"] + arguments.dropFirst(),
            in: directory
        )
        return try process.waitForExit()
    }

    @Test func `an image that can't be read is named`() throws {
        let whole = try image(guest(), "whole", .sequential)
        let bytes = try contents(of: whole.path)
        let path = directory.file("cut")
        try store(Array(bytes.dropLast(bytes.count / 3)), at: path)
        let cut = try GuestImage(opening: path)
        for (first, second) in [(whole, cut), (cut, whole)] {
            let error = #expect(throws: ImageError.self) {
                try ImageDifference(between: first, and: second)
            }
            #expect(error?.description.contains("cut") == true)
        }
    }
}
