import BerthMemory
import BerthStream
import BerthSystem
import BerthTestSupport
import BerthTransport
import BerthWire
import Glibc
import Testing

@testable import BerthImages

/// What `berth verify` finds in images without a seal.
@Suite(.timeLimit(.minutes(10)))
struct VerifyTests {
    private let fixture: VerifyFixture
    private static let uuid = "00112233-4455-6677-8899-aabbccddeeff"
    private static let xml = Array(
        """
        <domain type='qemu'><name>vm1</name><uuid>00112233-4455-6677-8899-AABBCCDDEEFF</uuid>
        <os><type arch='x86_64' machine='pc-q35-10.0'>hvm</type></os></domain>
        """.utf8
    )

    init() throws {
        fixture = try VerifyFixture(hasDevices: true)
    }

    private func received(_ path: String) throws -> ReceivedStream {
        try GuestImage(opening: path).read(PageCensus()).received
    }

    private func libvirt(_ format: ImageFormat) throws -> String {
        let path = fixture.directory.file(format.rawValue)
        var converter = ImageConverter(
            input: try fixture.save(.sequential, name: "input"),
            output: path,
            format: format
        )
        converter.xml = Self.xml
        try converter.convert()
        return path
    }

    /// Checks that a file has exactly these faults, by the beginnings of what is wrong.
    private func expect(
        _ path: String,
        _ beginnings: [String],
        at offsets: [UInt64?]? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let report = try fixture.verify(path)
        let found = report.faults.map(\.what)
        #expect(
            found.count == beginnings.count
                && zip(found, beginnings).allSatisfy { $0.hasPrefix($1) },
            "\(found)",
            sourceLocation: sourceLocation
        )
        if let offsets {
            #expect(report.faults.map(\.offset) == offsets, sourceLocation: sourceLocation)
        }
        for line in report.lines(for: "FILE") {
            #expect(line.hasPrefix("FILE: ") && line.contains("; "), sourceLocation: sourceLocation)
        }
    }

    @Test(arguments: StreamLayout.allCases)
    func `a whole image has no fault`(_ layout: StreamLayout) throws {
        let report = try fixture.verify(try fixture.save(layout))
        #expect(report.faults == [] && report.remarks == [])
        #expect(report.contentCheck == .none)
        #expect(
            report.summary(for: "FILE")
                == "FILE: whole: \(layout.rawValue) stream; 3 RAM blocks of 312 KiB, "
                + "29 device sections; content can't be checked, the image isn't sealed"
        )
    }

    @Test(arguments: ImageFormat.allCases.filter { $0.libvirt != nil })
    func `a whole save file of libvirt's has no fault`(_ format: ImageFormat) throws {
        let report = try fixture.verify(try libvirt(format))
        #expect(report.faults == [] && report.remarks == [])
        let compression = format.libvirt?.compression
        #expect(report.contentCheck == compression.map { .compressed($0) } ?? .none)
    }

    /// Where anything begins or ends in a stream.
    private func borders(_ received: ReceivedStream) -> [UInt64] {
        let state = received.deviceState
        var borders: [UInt64] = [0, 8, received.places.ram]
        borders += [received.places.ramEnd].compactMap(\.self)
        for (section, place) in zip(state.final.sections, received.places.final) {
            let body = place + UInt64(section.body.lowerBound - section.start)
            borders += [place, body, body + UInt64(section.body.count)]
            borders.append(place + UInt64(section.end - section.start))
        }
        let text = UInt64(state.description?.count ?? 0)
        borders += [received.places.end - text - 6, received.places.end - text - 5]
        borders.append(received.places.end - text)
        return borders
    }

    @Test(arguments: StreamLayout.allCases)
    func `a stream that is cut at any border is told`(_ layout: StreamLayout) throws {
        let path = try fixture.save(layout)
        let received = try received(path)
        let whole = try contents(of: path)
        let file = try ChangedFile(path)
        let borders = borders(received)
        #expect(borders.count > 100)
        var places = Set<UInt64>()
        for border in borders {
            for place in [border == 0 ? 0 : border - 1, border, border + 1] { places.insert(place) }
        }
        if layout == .mappedRAM {
            for entry in try MappedRAMMap(
                GuestImage(opening: path).openFile(),
                from: received.places.ram
            )
            .entries {
                let pages = entry.header.pagesRange(usedLength: entry.usedLength)
                places.formUnion([
                    entry.headerOffset, entry.header.bitmapOffset, pages.lowerBound,
                    pages.lowerBound + 4096, pages.upperBound - 1, pages.upperBound,
                ])
            }
        }
        for place in places.sorted() {
            try file.resize(to: Int(place))
            let report = try fixture.verify(path)
            #expect(!report.isWhole, "cut at \(place)")
            try file.write(Array(whole[Int(place)...]), at: Int(place))
        }
        #expect(try fixture.verify(path).isWhole)
    }

    @Test func `a sequential stream that is cut anywhere is told`() throws {
        let small = try VerifyFixture()
        let path = try small.save(.sequential)
        let whole = try contents(of: path)
        let file = try ChangedFile(path)
        // Every byte of what isn't pages, and some places in these.
        let tail = try GuestImage(opening: path).read(PageCensus()).received.places.ramEnd ?? 0
        var counts = Array(0..<120)
        counts += Array(stride(from: 120, to: Int(tail), by: 777))
        counts += Array(Int(tail)..<whole.count)
        for count in counts {
            try file.resize(to: count)
            #expect(try !small.verify(path).isWhole, "\(count) bytes")
            try file.write(Array(whole[count...]), at: count)
        }
        #expect(try small.verify(path).isWhole)
    }

    @Test(arguments: [
        ImageFormat.libvirtGzip, .libvirtBzip2, .libvirtXz, .libvirtLzop, .libvirtZstd,
    ])
    func `a compressed stream that is cut or changed is told`(_ format: ImageFormat) throws {
        let path = try libvirt(format)
        let whole = try contents(of: path)
        let start = 92 + Self.xml.count + 1 + 65536
        for count in [start, start + 3, start + 100, (start + whole.count) / 2, whole.count - 1] {
            try store(Array(whole[..<count]), at: path)
            #expect(try !fixture.verify(path).isWhole, "\(count) bytes")
        }
        for place in stride(from: start + 20, to: whole.count - 12, by: max(1, whole.count / 7)) {
            var changed = whole
            changed[place] ^= 0x20
            try store(changed, at: path)
            #expect(try !fixture.verify(path).isWhole, "byte \(place)")
        }
    }

    @Test func `files that are no saved guests are told`() throws {
        let path = fixture.directory.file("other")
        try store([], at: path)
        try expect(path, ["the file is empty"], at: [0])
        try store(Array("hello".utf8), at: path)
        try expect(path, ["this is no saved guest"], at: [0])
        try store([0x51, 0x46, 0x49, 0xfb] + [UInt8](repeating: 0, count: 600), at: path)
        try expect(path, ["this is a qcow2 disk image, not a saved guest"], at: [0])
        try store(Array("LibvirtQemudSave".utf8) + [2, 0], at: path)
        try expect(path, ["libvirt's header is cut off"], at: [18])
        let fifo = fixture.directory.file("fifo")
        try SystemCall.check("mkfifo", fifo) { mkfifo(fifo, 0o600) }
        for unreadable in [fixture.directory.file("nowhere"), fifo, "/dev/null", "/"] {
            #expect(throws: ImageError.self) { try fixture.verify(unreadable) }
        }
    }

    @Test func `a mapped-ram save that was cut off is told`() throws {
        let path = try fixture.save(.mappedRAM)
        try ChangedFile(path).write([UInt8](repeating: 0, count: 8), at: 0)
        try expect(path, ["the stream's header is missing"], at: [0])
    }

    @Test(arguments: StreamLayout.allCases)
    func `bytes behind the stream are told`(_ layout: StreamLayout) throws {
        let path = try fixture.save(layout)
        let count = try contents(of: path).count
        try ChangedFile(path).write([1, 2, 3], at: count)
        try expect(path, ["3 bytes follow the end of the stream"], at: [UInt64(count)])
    }

    @Test func `bits behind a block's end are told`() throws {
        let path = try fixture.save(.mappedRAM)
        let map = try MappedRAMMap(
            GuestImage(opening: path).openFile(),
            from: received(path).places.ram
        )
        let file = try ChangedFile(path)
        for (entry, pageCount) in zip(map.entries, [70, 5, 3]) {
            for bit in [pageCount, pageCount + 1, (pageCount + 63) / 64 * 64 - 1] {
                let place = Int(entry.header.bitmapOffset) + bit / 8
                try file.changing(place, by: 1 << UInt8(bit % 8)) {
                    try expect(
                        path,
                        ["the bitmap of block '\(entry.name)' has pages behind the block's end"],
                        at: [UInt64(place)]
                    )
                }
            }
        }
    }

    @Test func `a marked page in a hole is noted`() throws {
        let path = try fixture.save(.mappedRAM)
        let map = try MappedRAMMap(
            GuestImage(opening: path).openFile(),
            from: received(path).places.ram
        )
        // Page 30 of the first block has neither content nor a bit.
        let file = try ChangedFile(path)
        try file.changing(Int(map.entries[0].header.bitmapOffset) + 3, by: 0x40) {
            let report = try fixture.verify(path)
            #expect(report.faults == [])
            #expect(report.remarks.map(\.offset) == [map.entries[0].header.pagesOffset + 30 * 4096])
            #expect(report.remarks.first?.what.hasPrefix("1 pages of block 'pc.ram'") == true)
        }
    }

    @Test(arguments: [
        (0, [0, 0, 0, 2] as [UInt8], "mapped-ram header version"),
        (4, [0, 0, 0, 0, 0, 0, 0x20, 0], "mapped-ram page size"),
        (12, [0xff, 0, 0, 0, 0, 0, 0, 0], "mapped-ram bitmap offset"),
        (12, [0, 0, 0, 0, 0, 0, 0, 4], "mapped-ram bitmap offset"),
        (20, [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf0, 0], "mapped-ram pages offset"),
        (20, [0, 0, 0, 0, 0, 0x10, 0, 1], "mapped-ram pages offset"),
    ])
    func `a header of a block that can't be is told`(
        _ offset: Int,
        _ bytes: [UInt8],
        _ what: String
    ) throws {
        let path = try fixture.save(.mappedRAM)
        let map = try MappedRAMMap(
            GuestImage(opening: path).openFile(),
            from: received(path).places.ram
        )
        try ChangedFile(path).write(bytes, at: Int(map.entries[0].headerOffset) + offset)
        try expect(path, [what])
    }

    /// The guest with another device state, verified.
    private func expect(_ state: DeviceState, _ beginnings: [String]) throws {
        var guest = fixture.guest
        guest.state = state
        let path = fixture.directory.file("devices")
        try guest.save(to: path, as: .sequential)
        try expect(path, beginnings)
    }

    @Test func `device sections that aren't as described are told`() throws {
        let state = fixture.guest.state
        let text = String(decoding: try #require(state.description), as: UTF8.self)
        func described(_ from: String, _ to: String) -> DeviceState {
            var changed = state
            changed.description = Array(
                text.split(separator: from, maxSplits: 1).joined(separator: to).utf8
            )
            return changed
        }
        try expect(state, [])
        try expect(
            described("\"name\": \"timer\"", "\"name\": \"tiger\""),
            ["device section 0 is 'timer', instance 0; the description has 'tiger', instance 0"]
        )
        try expect(
            described("\"instance_id\": 0", "\"instance_id\": 7"),
            ["device section 0 is 'timer', instance 0; the description has 'timer', instance 7"]
        )
        try expect(
            described("\"size\": 8", "\"size\": 9"),
            ["device section 'timer' has 24 bytes, the description says 25"]
        )
        try expect(
            described("\"page_size\"", "page_size\""),
            ["the description of devices can't be read"]
        )
        let end = #"}]}"#
        let more = #"}, {"name": "more", "instance_id": 0, "fields": []}]}"#
        var changed = state
        changed.description = Array((text.dropLast(end.count) + more).utf8)
        try expect(
            changed,
            ["the stream has 29 device sections, its description lists 30"]
        )
    }

    @Test func `a missing description is told, an empty one noted`() throws {
        let path = try fixture.save(.sequential)
        let bytes = try contents(of: path)
        let count = try #require(fixture.guest.state.description).count
        try store(Array(bytes.dropLast(count + 5)), at: path)
        try expect(path, ["the stream ends without a description of its devices"])
        try store(bytes.dropLast(count + 5) + [6, 0, 0, 0, 0], at: path)
        try expect(path, [])
        let remarks = try fixture.verify(path).remarks
        #expect(remarks.map(\.what) == ["the description of devices is empty"])
        #expect(
            Set(try ImageInspection(of: path).devices.map(\.problem))
                == ["the stream has no description of its devices"]
        )
    }

    /// Changes in libvirt's header, what is found, and where.
    @Test(
        arguments: [
            (
                0, Array("LibvirtQemudPart".utf8), ["libvirt's mark of an unfinished save is set"],
                [0]
            ),
            (16, [1], ["libvirt's header has version 1"], [16]),
            (28, [9], ["libvirt's header has the format 9"], [28]),
            (
                28, [5], ["libvirt's header has the format zstd, the stream is not compressed"],
                [28]
            ),
            (20, [0, 0, 0, 0], ["libvirt's header says that no XML follows it"], [20]),
            (
                20, [0, 0, 0, 0x7f],
                [
                    "libvirt's header says that the stream begins at 0x7f00005c"
                ], [20]
            ),
            (92, [0], ["there is no domain XML"], [92]),
            (92, [0x40], ["what stands in the place of the domain XML isn't XML"], [92]),
            (32, [5], ["the domain XML doesn't end before the cookie"], [97]),
            (
                32, [0, 0, 0, 0x10],
                ["libvirt's header says that its cookie is at 0x1000005c, inside the stream"], [32]
            ),
        ] as [(Int, [UInt8], [String], [UInt64])]
    )
    func `what libvirt refuses is told`(
        _ offset: Int,
        _ bytes: [UInt8],
        _ what: [String],
        _ places: [UInt64]
    ) throws {
        let path = try libvirt(.libvirtRaw)
        try ChangedFile(path).write(bytes, at: offset)
        let report = try fixture.verify(path)
        let first = report.faults.prefix(what.count)
        #expect(
            zip(first, what).allSatisfy { $0.what.hasPrefix($1) } && first.count == what.count,
            "\(report.faults)"
        )
        #expect(first.map(\.offset) == places)
    }

    @Test func `XML or cookie without an end is told`() throws {
        let path = try libvirt(.libvirtRaw)
        let file = try ChangedFile(path)
        let start = Self.xml.count + 1
        let room = [UInt8](repeating: 0x20, count: 65536)
        try file.write([0x20] + room, at: 92 + start - 1)
        try expect(path, ["the domain XML doesn't end before the stream"])
        try file.write([0], at: 92 + start - 1)
        try file.write([UInt8(start & 0xff), UInt8(start >> 8)], at: 32)
        try expect(path, ["libvirt's cookie doesn't end before the stream"])
    }

    @Test func `a save file of another host's byte order is only noted`() throws {
        let path = try libvirt(.libvirtRaw)
        let bytes = Array(try contents(of: path).prefix(92))
        var header = try LibvirtSaveHeader(decoding: bytes.span)
        header.isByteSwapped = true
        try ChangedFile(path).write(header.encoded, at: 0)
        let report = try fixture.verify(path)
        #expect(report.faults == [])
        #expect(report.remarks.map(\.offset) == [16])
    }

    @Test func `a domain XML of another guest is told`() throws {
        var guest = fixture.guest
        guest.uuid = GuestUUID(Self.uuid)
        let input = fixture.directory.file("with-uuid")
        try guest.save(to: input, as: .sequential)
        func wrapped(_ xml: String) throws -> String {
            let path = fixture.directory.file("wrapped")
            let save = try LibvirtSave(xml: Array(xml.utf8), format: .raw, wasRunning: true)
            try store(save.encoded(isPartial: false) + contents(of: input), at: path)
            return path
        }
        let xml = String(decoding: Self.xml, as: UTF8.self)
        try expect(try wrapped(xml), [])
        try expect(
            try wrapped(xml.split(separator: "0011").joined(separator: "0012")),
            ["the domain XML has the UUID 00122233-4455-6677-8899-aabbccddeeff, the stream has"]
        )
        try expect(
            try wrapped(xml.split(separator: "q35-10.0").joined(separator: "q35-9.2")),
            ["the domain XML has the machine 'pc-q35-9.2', the stream has 'pc-q35-10.0'"]
        )
        try expect(try wrapped(xml.split(separator: "pc-q35-10.0").joined(separator: "q35")), [])
        try expect(
            try wrapped(xml.split(separator: "</os>").joined(separator: "")),
            ["the domain XML isn't well-formed: mismatched tag in line 2"],
            at: [UInt64(92 + xml.utf8.count - "</os></domain>".utf8.count + "</".utf8.count)]
        )
        try expect(
            try wrapped(xml.split(separator: "domain").joined(separator: "network")),
            ["the domain XML isn't a domain's: it begins with <network>"],
            at: [92]
        )
    }

    @Test func `a layout that doesn't fit libvirt's format is told`() throws {
        let raw = try libvirt(.libvirtRaw)
        try ChangedFile(raw).write([6], at: 28)
        let report = try fixture.verify(raw)
        #expect(report.faults == [])
        #expect(report.remarks.map(\.offset) == [28])
        let sparse = try libvirt(.libvirtSparse)
        try ChangedFile(sparse).write([0], at: 28)
        try expect(
            sparse,
            ["libvirt's header has the format raw, the stream is in the layout mapped-ram"],
            at: [28]
        )
    }

    @Test func `several faults are all told`() throws {
        let path = try libvirt(.libvirtRaw)
        let count = try contents(of: path).count
        let file = try ChangedFile(path)
        try file.write(Array("LibvirtQemudPart".utf8), at: 0)
        try file.write([0], at: 92)
        try file.write([1], at: count)
        try expect(
            path,
            [
                "libvirt's mark of an unfinished save is set", "there is no domain XML",
                "1 bytes follow the end of the stream",
            ]
        )
    }

    /// Any byte of an image may be anything: there is a report, never a crash.
    @Test func `damage at random gives a report`() throws {
        var generator = SeededGenerator()
        for layout in StreamLayout.allCases {
            let small = try VerifyFixture()
            let path = try small.save(layout)
            let whole = try contents(of: path)
            let file = try ChangedFile(path)
            for _ in 0..<300 {
                let place = Int.random(in: 0..<min(whole.count, 4096), using: &generator)
                let bytes = (0..<Int.random(in: 1...9, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
                let end = min(whole.count, place + bytes.count)
                try file.write(Array(bytes.prefix(end - place)), at: place)
                for fault in try small.verify(path).faults {
                    #expect(!fault.what.isEmpty && !fault.meaning.isEmpty)
                }
                try file.write(Array(whole[place..<end]), at: place)
            }
        }
    }
}
