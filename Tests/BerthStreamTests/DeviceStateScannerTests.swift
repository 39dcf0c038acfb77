import BerthStream
import BerthTestSupport
import BerthWire
import Testing

/// The scanner on what real QEMU sent.
@Suite(.timeLimit(.minutes(2)))
struct DeviceStateScannerTests {
    private static let sectionCounts = [
        "device-state/pc-qemu-10.0": 30,
        "device-state/pc-qemu-7.2": 30,
        "device-state/q35-qemu-10.0": 29,
        "device-state/q35-qemu-7.2": 29,
    ]

    private func sections(_ name: String) throws -> (bytes: [UInt8], found: [DeviceSection]) {
        let bytes = try HexVector.load(name)
        var scanner = DeviceSectionScanner()
        var feeding = DeviceStateFeeding(bytes)
        return (bytes, try feeding.end(&scanner).sections)
    }

    @Test(arguments: try HexVector.names(in: "device-state"))
    func `finds every section and the end in one piece`(name: String) throws {
        let bytes = try HexVector.load(name)
        var scanner = DeviceSectionScanner()
        guard case .end(let end) = try scanner.advance(bytes.span, arrival: .flowing) else {
            Issue.record("no end")
            return
        }
        #expect(end.isVerified)
        #expect(end.byteCount == bytes.count)
        #expect(end.sections.count == Self.sectionCounts[name])
        #expect(end.sections.first?.identity.name == "timer")
        #expect(end.sections.last?.identity.name == "globalstate")
        #expect(end.sections.first?.start == 0)
        #expect(zip(end.sections, end.sections.dropFirst()).allSatisfy { $0.end == $1.start })
    }

    @Test(arguments: try HexVector.names(in: "device-state"))
    func `asks for no byte that the source does not send`(name: String) throws {
        let (bytes, expected) = try sections(name)
        for chunk in [1, 7, 64 * 1024] {
            var scanner = DeviceSectionScanner()
            var feeding = DeviceStateFeeding(bytes)
            let end = try feeding.end(&scanner) { $0 + chunk - 1 }
            #expect(end.sections == expected)
            #expect(feeding.mostNeeded <= bytes.count)
        }
    }

    @Test(arguments: try HexVector.names(in: "device-state"))
    func `finds the end by the description where there are no footers`(name: String) throws {
        let (bytes, expected) = try sections(name)
        let run = DeviceSectionRun(expected, copying: bytes.span)
        let tail = bytes[run.bytes.count...]
        let bare = run.encoded(footers: false) + tail
        #expect(bare.count == bytes.count - expected.count * SectionFooter.byteCount)
        for chunk in [1000, 1 << 20] {
            var scanner = DeviceSectionScanner(hasFooters: false)
            var feeding = DeviceStateFeeding(bare)
            let end = try feeding.end(&scanner) { $0 + chunk - 1 }
            #expect(end.isVerified)
            #expect(end.sections.map(\.identity) == expected.map(\.identity))
            #expect(end.sections.map(\.body.count) == expected.map(\.body.count))
        }
    }

    @Test(arguments: try HexVector.names(in: "device-state"))
    func `footers alone lead to the end if there is no description`(name: String) throws {
        let (bytes, expected) = try sections(name)
        let bare = Array(bytes[...(expected.last?.end ?? 0)])
        for arrival in [DeviceSectionScanner.Arrival.quiet, .closed] {
            var scanner = DeviceSectionScanner()
            var feeding = DeviceStateFeeding(bare, atEnd: arrival)
            let end = try feeding.end(&scanner)
            #expect(end.sections == expected)
            #expect(end.description == nil)
            #expect(!end.isVerified)
            // While bytes can come, the one that would begin a description is waited for.
            #expect(feeding.mostNeeded == bare.count + 1)
        }
    }

    @Test func `trailing bytes in a file belong to no stream`() throws {
        let (bytes, expected) = try sections("device-state/q35-qemu-10.0")
        for junk in [[0], Array(repeating: 0, count: 5000), Array("\u{0}\u{6}\u{0}".utf8)] {
            var scanner = DeviceSectionScanner()
            var feeding = DeviceStateFeeding(bytes + junk, atEnd: .closed)
            let end = try feeding.end(&scanner) { $0 + 9999 }
            #expect(end.sections == expected)
            #expect(end.byteCount == bytes.count)
            #expect(end.isVerified)
        }
    }

    @Test func `an image on a large device need not be read to the device's end`() throws {
        let (bytes, expected) = try sections("device-state/q35-qemu-10.0")
        let junk: [UInt8] = Array(repeating: 0xa5, count: 40 << 20)
        var scanner = DeviceSectionScanner()
        guard case .end(let end) = try scanner.advance((bytes + junk).span, arrival: .flowing)
        else {
            Issue.record("no end")
            return
        }
        #expect(end.sections == expected)
        #expect(end.isVerified)
    }

    @Test func `device state has a limit`() throws {
        let (bytes, _) = try sections("device-state/q35-qemu-10.0")
        let endless = bytes[..<100] + Array(repeating: 0x7e, count: 150 << 20)
        var scanner = DeviceSectionScanner()
        #expect(
            throws: WireError.limitExceeded(
                field: "device state",
                offset: 0,
                limit: UInt64(DeviceState.byteCountLimit),
                found: UInt64(endless.count)
            )
        ) {
            try scanner.advance(endless.span, arrival: .flowing)
        }
    }

    @Test func `a closed connection in the middle is an error that names the section`() throws {
        let (bytes, expected) = try sections("device-state/q35-qemu-10.0")
        for section in expected {
            var scanner = DeviceSectionScanner(base: 1000)
            var feeding = DeviceStateFeeding(
                Array(bytes[..<section.body.upperBound]),
                atEnd: .closed
            )
            #expect(
                throws: WireError.truncated(
                    field: "section '\(section.identity.name)'",
                    offset: 1000 + UInt64(section.start),
                    needed: section.body.upperBound + 1
                )
            ) {
                try feeding.run(&scanner) { $0 + 100_000 }
            }
        }
    }

    @Test func `a quiet time in the middle changes nothing`() throws {
        let (bytes, expected) = try sections("device-state/q35-qemu-10.0")
        var scanner = DeviceSectionScanner()
        var count = 0
        while count < bytes.count {
            count = min(count + 1500, bytes.count)
            let part = bytes.span.extracting(..<count)
            _ = try scanner.advance(part, arrival: .flowing)
            let verdict = try scanner.advance(part, arrival: .quiet)
            if case .end(let end) = verdict {
                #expect(count == bytes.count)
                #expect(end.sections == expected)
                return
            }
        }
        Issue.record("no end")
    }
}
