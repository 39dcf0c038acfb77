import BerthMemory
import BerthSystem
import BerthTransport
import BerthWire
import Glibc
import Testing

@testable import BerthStream

/// Seals behind a stream: what is written, what is found, what a load checks.
@Suite(.timeLimit(.minutes(10)))
struct IntegritySealTests {
    /// Two blocks with pages of all kinds, and one whose table ends inside a file system's block.
    private func guest() throws -> StreamGuest {
        let guest = try StreamGuest(pageCounts: [70, 5, 3000])
        for page in [0, 1, 2, 40, 63, 64, 69] { guest.fill(0, page: page, version: 1) }
        for page in [0, 4] { guest.fill(1, page: page, version: 2) }
        guest.fill(2, page: 2999, version: 3)
        return guest
    }

    private func noted(_ guest: StreamGuest, _ algorithm: IntegrityAlgorithm) throws -> PageDigests
    {
        let digests = try PageDigests(algorithm, blocks: guest.listed)
        for (index, block) in guest.blocks.enumerated() {
            digests.note(
                block: index,
                offset: 0,
                UnsafeRawBufferPointer(start: block.base, count: block.byteCount)
            )
        }
        return digests
    }

    /// Saves a guest with a seal; the stream begins at `offset`.
    private func sealed(
        _ guest: StreamGuest,
        _ layout: StreamLayout,
        _ algorithm: IntegrityAlgorithm,
        at offset: Int = 0
    ) throws -> (file: StreamFile, received: ReceivedStream) {
        let file = try StreamFile()
        let channel = try file.channel(at: offset)
        try guest.save(layout.writer(StreamOutput(channel)))
        let received = try load(try file.channel(at: offset), into: StreamGuest(like: guest))
        try file.channel().writeSeal(
            of: try noted(guest, algorithm),
            configuration: received.configuration,
            deviceState: received.deviceState,
            stream: UInt64(offset)..<received.places.end
        )
        return (file, received)
    }

    private func loaded(_ guest: StreamGuest) -> [LoadedBlock] {
        guest.blocks.map {
            LoadedBlock(
                name: $0.id,
                bytes: UnsafeRawBufferPointer(start: $0.base, count: $0.byteCount)
            )
        }
    }

    @Test(arguments: StreamLayout.allCases, IntegrityAlgorithm.allCases)
    func `a seal is found and agrees`(
        _ layout: StreamLayout,
        _ algorithm: IntegrityAlgorithm
    ) throws {
        let guest = try guest()
        // Of a mapped-ram stream the places count from the file's start, so it is begun there.
        let start = layout == .sequential ? 512 : 0
        let (file, received) = try sealed(guest, layout, algorithm, at: start)
        let seal = try #require(try Seal.find(in: file.channel()))
        #expect(seal.algorithm == algorithm)
        #expect(seal.header.streamStart == UInt64(start))
        #expect(seal.header.streamEnd == received.places.end)
        #expect(seal.header.blocks.map(\.name) == guest.listed.map(\.name))
        #expect(seal.header.parts.map(\.name).contains("globalstate"))
        #expect(seal.place.upperBound == UInt64(try file.bytes.count))
        var verdict = seal.check(received.blocks)
        verdict.add(seal.check(received.configuration, received.deviceState))
        let target = try StreamGuest(like: guest)
        try load(try file.channel(at: start), into: target)
        #expect(target.digests == guest.digests)
        for threadCount in [1, 3] {
            verdict.add(try seal.check(loaded(target), threadCount: threadCount))
        }
        #expect(verdict.isWhole && verdict.error == nil)
    }

    @Test(arguments: IntegrityAlgorithm.allCases)
    func `the tables have an entry for each page and holes for zeros`(
        _ algorithm: IntegrityAlgorithm
    ) throws {
        let guest = try guest()
        let (file, _) = try sealed(guest, .sequential, algorithm)
        let header = try #require(try Seal.find(in: file.channel())).header
        let bytes = try file.bytes
        let zero = PageDigester.digest(of: [UInt8](repeating: 0, count: 4096), algorithm)
        for (index, block) in header.blocks.enumerated() {
            for page in 0..<block.pageCount {
                let place =
                    Int(header.offset + block.tableOffset) + page * algorithm.digestByteCount
                let entry = bytes[place..<place + algorithm.digestByteCount]
                let digest = PageDigester.digest(of: guest.page(index, page), algorithm)
                #expect(Array(entry) == zip(digest, zero).map { $0 ^ $1 }, "\(index), \(page)")
            }
        }
        // The long block's table has content only at its end.
        let table = header.offset + header.blocks[2].tableOffset
        let content = try #require(try file.channel().data(from: table))
        #expect(content.lowerBound > table)
    }

    @Test func `later notes replace earlier ones, and zeros are as never noted`() throws {
        let guest = try guest()
        let digests = try noted(guest, .blake3)
        guest.fill(0, page: 1, version: 9)
        guest.fill(0, page: 2, version: 0)
        guest.fill(0, page: 3, version: 9)
        digests.note(
            block: 0,
            offset: 4096,
            UnsafeRawBufferPointer(start: guest.blocks[0].base + 4096, count: 4096)
        )
        digests.noteZero(block: 0, offset: 2 * 4096, byteCount: 4096)
        var pieces = [
            iovec(iov_base: guest.blocks[0].base + 3 * 4096, iov_len: 4096),
            iovec(iov_base: guest.blocks[0].base + 4 * 4096, iov_len: 8192),
        ]
        pieces.withUnsafeMutableBufferPointer {
            digests.note(DataRun(block: 0, offset: 3 * 4096, byteCount: 3 * 4096, pieces: $0))
        }
        let again = try noted(guest, .blake3)
        for index in guest.blocks.indices {
            #expect(Array(digests.table(ofBlock: index)) == Array(again.table(ofBlock: index)))
        }
    }

    @Test(arguments: IntegrityAlgorithm.allCases)
    func `bad pages in memory are named`(_ algorithm: IntegrityAlgorithm) throws {
        let guest = try guest()
        let (file, _) = try sealed(guest, .mapped, algorithm)
        let seal = try #require(try Seal.find(in: file.channel()))
        // Changed, gone, and come from nowhere.
        guest.blocks[0].base.storeBytes(of: 1, toByteOffset: 64 * 4096 + 4095, as: UInt8.self)
        guest.fill(1, page: 4, version: 0)
        guest.fill(2, page: 1000, version: 1)
        guest.fill(2, page: 1001, version: 1)
        let verdict = try seal.check(loaded(guest), threadCount: 2)
        #expect(verdict.badPages.map(\.block) == ["block0", "block1", "block2"])
        #expect(
            verdict.badPages.map { $0.ranges() } == [
                [0x40000..<0x41000], [0x4000..<0x5000], [0x3e8000..<0x3ea000],
            ]
        )
        #expect(verdict.badPageCount == 4)
        let message = try #require(verdict.error?.message)
        #expect(message.contains("page 0x40000 of block 'block0' and 3 more"))
    }

    @Test func `a guest without a sealed block is told`() throws {
        let guest = try guest()
        let (file, _) = try sealed(guest, .mapped, .crc32c)
        let seal = try #require(try Seal.find(in: file.channel()))
        let verdict = try seal.check(loaded(guest).dropLast(), threadCount: 2)
        #expect(verdict.badPages.isEmpty)
        #expect(verdict.differences.count == 1)
        #expect(verdict.differences.first?.contains("'block2'") == true)
    }

    @Test(arguments: IntegrityAlgorithm.allCases)
    func `a changed bit of anything but RAM is named`(_ algorithm: IntegrityAlgorithm) throws {
        let guest = try guest()
        let (file, received) = try sealed(guest, .sequential, algorithm)
        let seal = try #require(try Seal.find(in: file.channel()))
        var configuration = received.configuration
        configuration.machineName = "nonf"
        #expect(
            seal.check(configuration, received.deviceState).differences
                == ["the configuration section isn't the one that was sealed"]
        )
        for (index, section) in received.deviceState.final.sections.enumerated() {
            for offset in section.body {
                var bytes = received.deviceState.final.bytes
                bytes[offset] ^= 0x10
                var state = received.deviceState
                state.final = DeviceSectionRun(
                    received.deviceState.final.sections,
                    copying: bytes.span
                )
                let name = received.deviceState.final.sections[index].identity.name
                #expect(
                    seal.check(received.configuration, state).differences
                        == ["the device section '\(name)' isn't the one that was sealed"]
                )
            }
        }
        var state = received.deviceState
        state.description?[5] ^= 1
        #expect(
            seal.check(received.configuration, state).differences
                == ["the description of device state isn't the one that was sealed"]
        )
        state.description = nil
        #expect(!seal.check(received.configuration, state).isWhole)
    }

    @Test func `the map of a mapped-ram image is part of a seal`() throws {
        let guest = try guest()
        let file = try StreamFile()
        try guest.save(StreamLayout.mapped.writer(StreamOutput(try file.channel())))
        let received = try load(try file.channel(), into: StreamGuest(like: guest))
        let digests = try noted(guest, .crc32c)
        var present = PageBitmap(pageCount: 70)
        present.set(3..<6, to: true)
        digests.noteMap(block: 0, pagesOffset: 1 << 20, present: present)
        try file.channel().writeSeal(
            of: digests,
            configuration: received.configuration,
            deviceState: received.deviceState,
            stream: 0..<received.places.end
        )
        let seal = try #require(try Seal.find(in: file.channel()))
        #expect(seal.check(received.configuration, received.deviceState).isWhole)
        #expect(seal.checkMap(ofBlock: 0, pagesOffset: 1 << 20, present: present).isWhole)
        #expect(!seal.checkMap(ofBlock: 0, pagesOffset: 2 << 20, present: present).isWhole)
        present.set(69..<70, to: true)
        #expect(
            seal.checkMap(ofBlock: 0, pagesOffset: 1 << 20, present: present).differences
                == ["the map of pages of block 'block0' isn't the one that was sealed"]
        )
        #expect(seal.checkMap(ofBlock: 1, pagesOffset: 5, present: present).isWhole)
        #expect(seal.checkMap(ofBlock: 9, pagesOffset: 5, present: present).isWhole)
    }

    @Test func `other blocks than those sealed are told`() throws {
        let guest = try guest()
        let (file, received) = try sealed(guest, .sequential, .crc32c)
        let seal = try #require(try Seal.find(in: file.channel()))
        var blocks = received.blocks
        blocks[1] = StreamBlock(name: "other", byteCount: blocks[1].byteCount)
        #expect(seal.check(blocks).differences.count == 1)
        blocks.removeLast()
        #expect(seal.check(blocks).differences.count == 2)
    }

    @Test func `a file that is cut anywhere has no seal`() throws {
        let guest = try guest()
        let (file, received) = try sealed(guest, .sequential, .crc32c)
        let bytes = try file.bytes
        let end = Int(received.places.end)
        let places = [0, 31, 32, 33, end, end + 1, bytes.count - 33, bytes.count - 1]
        for count in places + Array(stride(from: end, to: bytes.count, by: 611)) {
            try file.replace(with: Array(bytes[..<count]))
            #expect(try Seal.find(in: file.channel()) == nil, "\(count) bytes")
        }
        #expect(try Seal.find(in: StreamFile(bytes + [0]).channel()) == nil)
    }

    @Test func `a changed bit of header or end mark is no seal or a damaged one`() throws {
        let guest = try guest()
        let (file, _) = try sealed(guest, .sequential, .crc32c)
        let seal = try #require(try Seal.find(in: file.channel()))
        var header: [UInt8] = []
        seal.header.encode(into: &header)
        let bytes = try file.bytes
        let start = Int(seal.header.offset)
        for offset in Array(start..<start + header.count) + Array(bytes.count - 32..<bytes.count) {
            try file.write([bytes[offset] ^ 0x40], at: offset)
            let channel = try file.channel()
            do throws(StreamError) {
                let seal = try Seal.find(in: channel)
                #expect(seal == nil)
            } catch {
                #expect([.malformed, .unsupported].contains(error.code), "\(offset): \(error)")
                #expect(error.message.hasPrefix("the image's seal "))
            }
            try file.write([bytes[offset]], at: offset)
        }
    }

    @Test func `a new seal replaces an old one and what else lay behind the stream`() throws {
        let guest = try guest()
        let (file, received) = try sealed(guest, .sequential, .blake3)
        let long = try file.bytes.count
        try file.write([1, 2, 3], at: long)
        guest.fill(0, page: 5, version: 4)
        let end = try file.channel().writeSeal(
            of: try noted(guest, .crc32c),
            configuration: received.configuration,
            deviceState: received.deviceState,
            stream: 0..<received.places.end
        )
        #expect(try file.bytes.count == Int(end))
        #expect(Int(end) < long)
        let seal = try #require(try Seal.find(in: file.channel()))
        #expect(try seal.check(loaded(guest), threadCount: 2).isWhole)
    }

    @Test func `what isn't a regular file is refused`() throws {
        let (writer, _) = try connection("pipe")
        let digests = try PageDigests(.crc32c, blocks: [])
        #expect(throws: StreamError.self) {
            try writer.writeSeal(
                of: digests,
                configuration: ConfigurationSection(machineName: "none"),
                deviceState: DeviceState.fresh(runState: "paused", machineName: "none"),
                stream: 0..<10
            )
        }
        #expect(try Seal.find(in: writer) == nil)
    }
}
