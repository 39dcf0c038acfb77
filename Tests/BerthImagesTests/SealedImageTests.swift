import BerthMemory
import BerthQAPI
import BerthStream
import BerthTestSupport
import BerthWire
import Testing

@testable import BerthImages

/// Images with a seal: every damage is found and named.
@Suite(.timeLimit(.minutes(10)))
struct SealedImageTests {
    private let fixture: VerifyFixture

    init() throws {
        fixture = try VerifyFixture()
    }

    private func sealed(
        _ layout: StreamLayout,
        _ algorithm: IntegrityAlgorithm
    ) throws -> (path: String, seal: Seal, received: ReceivedStream) {
        let path = try fixture.save(layout)
        try ImageSealer(path: path).seal(algorithm)
        let image = try GuestImage(opening: path)
        let received = try image.read(PageCensus()).received
        let seal = try #require(try Seal.find(in: image.openFile()))
        return (path, seal, received)
    }

    /// Where a page with content lies in the file.
    private func place(_ path: String, _ block: Int, _ page: Int) throws -> Int {
        let image = try GuestImage(opening: path)
        let census = PageCensus()
        _ = try image.read(census)
        if let start = census.blocks[block].pagesOffset { return Int(start) + page * 4096 }
        return try #require(firstIndex(of: fixture.guest.page(block, page), in: contents(of: path)))
    }

    @Test(arguments: StreamLayout.allCases, IntegrityAlgorithm.allCases)
    func `a sealed image is whole, and says the same`(
        _ layout: StreamLayout,
        _ algorithm: IntegrityAlgorithm
    ) throws {
        let plain = try fixture.save(layout, name: "plain")
        let (path, _, _) = try sealed(layout, algorithm)
        let report = try fixture.verify(path)
        #expect(report.faults == [] && report.remarks == [])
        #expect(report.contentCheck == .sealed(algorithm))
        #expect(try fixture.verify(path, structureOnly: true).contentCheck == .none)
        #expect(try fixture.load(path) == fixture.load(plain))
        let before = try contents(of: plain)
        #expect(try contents(of: path).starts(with: before))
        try ImageSealer(path: path).remove()
        #expect(try contents(of: path) == before)
    }

    @Test(arguments: StreamLayout.allCases, IntegrityAlgorithm.allCases)
    func `a changed byte of a page is found, and the page named`(
        _ layout: StreamLayout,
        _ algorithm: IntegrityAlgorithm
    ) throws {
        let (path, _, _) = try sealed(layout, algorithm)
        let file = try ChangedFile(path)
        var generator = SeededGenerator()
        for (block, page) in [(0, 0), (0, 69), (1, 4), (2, 0)] {
            let start = try place(path, block, page)
            let some = (0..<10).map { _ in Int.random(in: 1..<4095, using: &generator) }
            for offset in [0, 4095] + some {
                let mask = UInt8(1) << UInt8.random(in: 0..<8, using: &generator)
                try file.changing(start + offset, by: mask) {
                    let report = try fixture.verify(path)
                    let name = fixture.guest.blocks[block].id
                    #expect(
                        report.faults.map(\.what) == [
                            "page 0x\(String(page * 4096, radix: 16)) of block '\(name)' isn't "
                                + "what was sealed"
                        ],
                        "seed \(generator.seed), offset \(offset)"
                    )
                    #expect(
                        report.faults.first?.offset
                            == (layout == .mappedRAM ? UInt64(start) : nil)
                    )
                }
            }
        }
        #expect(try fixture.verify(path).isWhole)
    }

    @Test func `every changed byte of a page is found`() throws {
        let (path, _, _) = try sealed(.mappedRAM, .crc32c)
        let file = try ChangedFile(path)
        let start = try place(path, 0, 40)
        var generator = SeededGenerator()
        for offset in 0..<4096 {
            let mask = UInt8.random(in: 1...255, using: &generator)
            try file.changing(start + offset, by: mask) {
                let report = try fixture.verify(path)
                #expect(report.faults.count == 1, "seed \(generator.seed), offset \(offset)")
            }
        }
    }

    /// Places in the file of all that isn't a page, and that something looks at.
    ///
    /// Of the tables, which are many alike, a part.
    private func framePlaces(
        _ path: String,
        _ layout: StreamLayout,
        _ seal: Seal,
        _ received: ReceivedStream
    ) throws -> [Int] {
        var places = Set(0..<Int(received.places.end))
        switch layout {
        case .mappedRAM:
            let file = try GuestImage(opening: path).openFile()
            for entry in try MappedRAMMap(file, from: received.places.ram).entries {
                let bitmap = entry.header.bitmapRange(usedLength: entry.usedLength)
                let pages = entry.header.pagesRange(usedLength: entry.usedLength)
                places.subtract(Int(bitmap.upperBound)..<Int(pages.upperBound))
            }
        case .sequential:
            for (block, page) in fixture.filledPages {
                let start = try place(path, block, page)
                places.subtract(start..<start + 4096)
            }
        }
        var header: [UInt8] = []
        seal.header.encode(into: &header)
        let start = Int(seal.header.offset)
        places.formUnion(start..<start + header.count)
        for block in seal.header.blocks {
            let table = start + Int(block.tableOffset)
            let end = table + block.pageCount * seal.algorithm.digestByteCount
            places.formUnion(stride(from: table, to: end, by: 11))
        }
        let end = Int(seal.place.upperBound)
        places.formUnion(end - 32..<end)
        return places.sorted()
    }

    /// A byte that says nothing (a flag that every reader masks) may change unnoticed; nothing that
    /// a loader gets may.
    @Test(arguments: StreamLayout.allCases, IntegrityAlgorithm.allCases)
    func `a changed byte of anything else is found, or changes nothing`(
        _ layout: StreamLayout,
        _ algorithm: IntegrityAlgorithm
    ) throws {
        let (path, seal, received) = try sealed(layout, algorithm)
        let whole = try fixture.load(path)
        let file = try ChangedFile(path)
        let places = try framePlaces(path, layout, seal, received)
        var generator = SeededGenerator()
        var unnoticed = 0
        for offset in places {
            let mask = UInt8(1) << UInt8.random(in: 0..<8, using: &generator)
            try file.changing(offset, by: mask) {
                guard try fixture.verify(path).isWhole else { return }
                unnoticed += 1
                #expect(
                    try fixture.load(path) == whole,
                    "seed \(generator.seed), offset \(offset), mask \(mask)"
                )
            }
        }
        // Most of the bytes say something: the check isn't empty.
        #expect(unnoticed < places.count / 20, "\(unnoticed) of \(places.count)")
        #expect(try fixture.verify(path).isWhole)
    }

    @Test(arguments: StreamLayout.allCases)
    func `a changed device section is named`(_ layout: StreamLayout) throws {
        let fixture = try VerifyFixture(hasDevices: true)
        let path = try fixture.save(layout)
        try ImageSealer(path: path).seal(.blake3)
        let received = try GuestImage(opening: path).read(PageCensus()).received
        let file = try ChangedFile(path)
        for (section, place) in zip(received.deviceState.final.sections, received.places.final) {
            let middle =
                Int(place) + section.body.lowerBound - section.start
                + section.body.count / 2
            try file.changing(middle, by: 1) {
                let report = try fixture.verify(path)
                let name = section.identity.name
                #expect(
                    report.faults.contains { $0.what.hasPrefix("the device section '\(name)'") },
                    "\(report.faults)"
                )
            }
        }
    }

    @Test(arguments: StreamLayout.allCases)
    func `a seal that is cut anywhere is told`(_ layout: StreamLayout) throws {
        let (path, seal, received) = try sealed(layout, .crc32c)
        let file = try ChangedFile(path)
        let bytes = try contents(of: path)
        let end = Int(received.places.end)
        var counts = [end + 1, Int(seal.header.offset), Int(seal.header.offset) + 8]
        counts += Array(stride(from: Int(seal.header.offset) + 9, to: bytes.count, by: 97))
        counts += [bytes.count - 32, bytes.count - 1]
        for count in counts {
            try file.resize(to: count)
            let report = try fixture.verify(path)
            #expect(report.faults.count == 1, "\(count): \(report.faults)")
            let what = try #require(report.faults.first?.what)
            let isMarked = count >= Int(seal.header.offset) + 8
            #expect(what.contains(isMarked ? "seal is cut off" : "bytes follow the end"), "\(what)")
            try file.resize(to: end)
            try file.write(Array(bytes[end...]), at: end)
        }
        #expect(try fixture.verify(path).isWhole)
        // What was cut off can be taken away.
        try file.resize(to: bytes.count - 1)
        try ImageSealer(path: path).remove()
        #expect(try contents(of: path).count == end)
        #expect(try fixture.verify(path).isWhole)
    }

    /// A seal without its end, and one with a changed header.
    @Test(arguments: StreamLayout.allCases, [true, false])
    func `a bad seal isn't dropped in silence`(
        _ layout: StreamLayout,
        _ isCutOff: Bool
    ) throws {
        let (path, seal, received) = try sealed(layout, .crc32c)
        let file = try ChangedFile(path)
        let start = Int(seal.header.offset)
        if isCutOff {
            try file.resize(to: Int(seal.place.upperBound) - 1)
        } else {
            try file.write([0x77], at: start + 60)
        }
        for format in [ImageFormat.sequential, .mappedRAM] {
            let output = fixture.directory.file("converted-\(format.rawValue)")
            var converter = ImageConverter(input: path, output: output, format: format)
            let error = #expect(throws: ImageError.self) { try converter.convert() }
            let what = isCutOff ? "the seal of '\(path)' is cut off" : "seal is damaged"
            #expect(error?.description.contains(what) == true, "\(String(describing: error))")
            #expect(error?.hint?.contains("--no-check") == true)
            #expect(throws: (any Error).self) { try contents(of: output) }
            converter.checksSeal = false
            try converter.convert()
            #expect(try fixture.load(output).memory == fixture.load(path).memory)
        }
        let inspection = try ImageInspection(of: path)
        #expect(inspection.cutOffSeal == (isCutOff ? seal.header.offset : nil))
        #expect((inspection.problem != nil) == !isCutOff)
        if isCutOff {
            let report = inspection.report(hasFields: false)
            #expect(report.cutOffSeal == seal.header.offset && report.trailing == nil)
            let text = "cut off, from 0x\(String(start, radix: 16)) on"
            #expect(inspection.text(hasFields: false).contains(text))
        }
        // Bytes that aren't a seal are as before.
        try file.resize(to: Int(received.places.end))
        try file.write([1, 2, 3], at: Int(received.places.end))
        let other = try ImageInspection(of: path)
        #expect(other.cutOffSeal == nil && other.trailingByteCount == 3)
        let output = fixture.directory.file("converted")
        try ImageConverter(input: path, output: output, format: .sequential).convert()
    }

    @Test(arguments: StreamLayout.allCases)
    func `nothing is taken out of an image that isn't what was sealed`(
        _ layout: StreamLayout
    ) throws {
        let (path, _, _) = try sealed(layout, .crc32c)
        let output = fixture.directory.file("output")
        let page = try place(path, 0, 40)
        var extractor = try ImageExtractor(GuestImage(opening: path))
        #expect(try extractor.page(.address(40 * 4096)) == fixture.guest.page(0, 40))
        func expectRefusal(_ body: () throws -> Void) {
            let error = #expect(throws: ImageError.self) { try body() }
            #expect(error?.description.contains("page 0x28000 of block 'pc.ram'") == true)
            #expect(error?.hint?.contains("--no-check") == true)
            #expect(throws: (any Error).self) { try contents(of: output) }
        }
        try ChangedFile(path).changing(page + 7, by: 1) {
            expectRefusal { try extractor.writeRaw(to: output) }
            expectRefusal { try extractor.writeELF(to: output) }
            expectRefusal { try extractor.writeBlock("pc.ram", to: output) }
            expectRefusal { _ = try extractor.page(.address(0)) }
            expectRefusal { _ = try extractor.section("timer") }
            expectRefusal { _ = try extractor.description() }
            extractor.checksSeal = false
            #expect(try extractor.page(.address(40 * 4096)) != fixture.guest.page(0, 40))
            try extractor.writeRaw(to: output)
        }
    }

    @Test func `many bad pages are told in ranges, and the rest counted`() throws {
        let directory = try PeersDirectory()
        let guest = try SavedGuest(["pc.ram": 600])
        for page in 0..<600 { guest.fill(0, page) }
        let path = directory.file("image")
        try guest.save(to: path, as: .mappedRAM)
        try ImageSealer(path: path).seal(.crc32c)
        let start = Int(try #require(try GuestImage(opening: path).placedBlocks()[0].pagesOffset))
        let file = try ChangedFile(path)
        for page in 0..<300 where page < 3 || page % 2 == 0 {
            try file.write([0xff], at: start + page * 4096 + 7)
        }
        let faults = try fixture.verify(path).faults
        #expect(faults.count == ImageVerifier.rangeLimit + 1)
        #expect(faults[0].what.hasPrefix("3 pages from 0x0 on of block 'pc.ram'"))
        #expect(faults[1].what.hasPrefix("page 0x4000 of block 'pc.ram'"))
        #expect(faults.last?.what.hasPrefix("49 more pages of block 'pc.ram'") == true)
    }
}

extension GuestImage {
    fileprivate func placedBlocks() throws -> [BlockCensus] {
        let census = PageCensus()
        _ = try read(census)
        return census.blocks
    }
}
