import BerthStream
import BerthTestSupport
import BerthWire
import Testing

/// Runs of sections among others that the reader understands.
@Suite struct DeviceStateRunTests {
    @Test func `hands RAM sections back to the reader`() throws {
        var made = MadeStream()
        made.append("0000:00:03.0/virtio-mem-device-early", id: 7, body: [1, 2, 3, 4])
        let count = made.run.bytes.count
        var ledger = SectionLedger()
        ledger.native = [2]
        for (header, isNative) in [
            (SectionHeader(partOf: 2, isLast: false), true),
            (SectionHeader(partOf: 2, isLast: true), true),
            (
                SectionHeader(
                    full: false,
                    id: 5,
                    identity: .init(name: "ram", instance: 0, version: 4)
                ),
                true
            ),
            (SectionHeader(partOf: 6, isLast: false), false),
        ] {
            var bytes = made.run.bytes
            header.encode(into: &bytes)
            bytes += Array(repeating: 0, count: 100)
            var scanner = DeviceSectionScanner(ledger: ledger)
            var feeding = DeviceStateFeeding(bytes)
            let verdict = try feeding.run(&scanner)
            #expect((verdict == .nativeSection(at: count)) == isNative)
            if isNative {
                #expect(scanner.sections == made.run.sections)
            }
        }
    }

    @Test func `takes what QEMU sends before the pages of RAM`() throws {
        let bytes = try HexVector.load("early/virtio-mem-qemu-10.0")
        var ledger = SectionLedger()
        ledger.native = [1]
        var scanner = DeviceSectionScanner(ledger: ledger)
        var feeding = DeviceStateFeeding(bytes)
        guard case .nativeSection(let index) = try feeding.run(&scanner) else {
            Issue.record("no RAM section")
            return
        }
        let section = try #require(scanner.sections.first)
        #expect(scanner.sections.count == 1)
        #expect(section.identity.name == "0000:00:01.0/virtio-mem-device-early")
        #expect(section.end == index)
        // Kind and id tell the reader enough; it reads the part itself.
        #expect(feeding.mostNeeded <= index + 5)
    }

    @Test func `the description lists earlier sections first`() throws {
        var early = MadeStream()
        early.append("early", id: 7, body: [1, 2, 3, 4])
        var all = early
        all.append("late", id: 8, body: [5, 6])
        let bytes = Array(all.bytes(description: all.description)[early.run.bytes.count...])
        let earlier = early.run.sections.map(\.identity)

        var scanner = DeviceSectionScanner(earlier: earlier)
        var feeding = DeviceStateFeeding(bytes)
        #expect(try feeding.end(&scanner).isVerified)

        scanner = DeviceSectionScanner()
        #expect(try !feeding.end(&scanner).isVerified)
    }

    @Test func `hands commands out and passes over them`() throws {
        var made = MadeStream()
        made.append("one", id: 1, body: [1])
        var bytes = made.run.bytes
        StreamCommand.ping(7).encode(into: &bytes)
        let before = made.run.bytes.count
        made.append("two", id: 2, body: [2])
        bytes += made.run.bytes[before...]
        StreamCommand.switchoverStart.encode(into: &bytes)
        bytes += MadeStream.tail(description: made.description)

        var scanner = DeviceSectionScanner()
        var feeding = DeviceStateFeeding(bytes)
        let end = try feeding.end(&scanner)
        #expect(feeding.commands == [.ping(7), .switchoverStart])
        #expect(end.isVerified)
        #expect(DeviceSectionRun(end.sections, copying: bytes.span) == made.run)

        let withoutFooters = made.run.encoded(footers: false)
        let bare = Array(withoutFooters) + MadeStream.tail(description: made.description)
        scanner = DeviceSectionScanner(hasFooters: false)
        feeding = DeviceStateFeeding(bare)
        #expect(try feeding.end(&scanner).sections.count == 2)
    }

    @Test func `follows opaque sections in several parts`() throws {
        let identity = SectionHeader.Identity(name: "0000:00:04.0/vfio", instance: 0, version: 1)
        var bytes: [UInt8] = []
        SectionHeader(full: false, id: 40, identity: identity).encode(into: &bytes)
        bytes += [9, 9]
        SectionFooter(id: 40).encode(into: &bytes)
        for isLast in [false, true] {
            SectionHeader(partOf: 40, isLast: isLast).encode(into: &bytes)
            bytes += [8, 8, 8]
            SectionFooter(id: 40).encode(into: &bytes)
        }
        bytes += MadeStream.tail(description: MadeStream().description)
        var scanner = DeviceSectionScanner()
        var feeding = DeviceStateFeeding(bytes)
        let end = try feeding.end(&scanner)
        #expect(end.sections.map(\.kind) == [.start, .part, .end])
        #expect(end.sections.map(\.body.count) == [2, 3, 3])
        #expect(end.sections.allSatisfy { $0.identity == identity })
        #expect(end.isVerified)
        #expect(scanner.ledger == SectionLedger())
    }

    @Test func `a stream may have no device sections`() throws {
        for (bytes, isVerified) in [
            (MadeStream.tail(description: MadeStream().description), true),
            (MadeStream.tail(description: Array("{}".utf8)), false),
            (MadeStream.tail(description: []), false),
            (MadeStream.tail(description: nil), false),
        ] {
            var scanner = DeviceSectionScanner()
            var feeding = DeviceStateFeeding(bytes)
            let end = try feeding.end(&scanner)
            #expect(end.sections.isEmpty)
            #expect(end.byteCount == bytes.count)
            #expect(end.isVerified == isVerified)
        }
    }

    @Test func `bytes that begin no section are an error`() {
        var scanner = DeviceSectionScanner(base: 500)
        #expect(throws: WireError.unknownKind(field: "element type", offset: 500, found: "0x9")) {
            try scanner.advance([9, 0, 0].span, arrival: .flowing)
        }
    }

    @Test func `random sections come out as they went in`() throws {
        var generator = SeededGenerator()
        let comment: Comment = "BERTH_TEST_SEED=\(generator.seed)"
        for _ in 0..<60 {
            var made = MadeStream()
            for index in 0..<Int.random(in: 1...8, using: &generator) {
                // Few values, so that footers of other sections and near-footers occur.
                let values: [UInt8] = [0, 0, 0, 0x7e, UInt8(index), 4, 8]
                let count = Int.random(in: 0...400, using: &generator)
                let body = (0..<count).map { _ in
                    values.randomElement(using: &generator) ?? 0
                }
                made.append("device \(index)", id: UInt32(index), body: body)
            }
            let bytes = made.bytes(description: made.description)
            var scanner = DeviceSectionScanner()
            var feeding = DeviceStateFeeding(bytes)
            let end = try feeding.end(&scanner) {
                $0 + Int.random(in: 0...300, using: &generator)
            }
            #expect(end.sections == made.run.sections, comment)
            #expect(end.isVerified, comment)
            #expect(DeviceSectionRun(end.sections, copying: bytes.span) == made.run, comment)
        }
    }

    @Test func `no change of a byte traps`() {
        let state = DeviceState.fresh(runState: "running", machineName: "none")
        let bytes = state.final.bytes + MadeStream.tail(description: state.description)
        for index in bytes.indices {
            for mask in [0x01, 0x80, 0xff] as [UInt8] {
                var changed = bytes
                changed[index] ^= mask
                var scanner = DeviceSectionScanner()
                var feeding = DeviceStateFeeding(changed, atEnd: .closed)
                if case .end(let end)? = try? feeding.run(&scanner, nextCount: { $0 + 4096 }) {
                    #expect(end.byteCount <= bytes.count)
                }
            }
        }
    }
}
