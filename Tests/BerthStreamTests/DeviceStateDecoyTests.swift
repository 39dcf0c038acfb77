import BerthStream
import BerthTestSupport
import BerthWire
import Testing

/// The scanner on device memory that imitates what follows it.
@Suite(.timeLimit(.minutes(2)))
struct DeviceStateDecoyTests {
    /// A tail that fits the sections before it: of those in `made` and `name`, up to `bodyCount`.
    private static func forgery(
        after made: MadeStream,
        _ name: String,
        bodyCount: Int
    ) -> [UInt8] {
        var shorter = made
        shorter.append(name, id: 9, body: Array(repeating: 0, count: bodyCount))
        return MadeStream.tail(description: shorter.description)
    }

    /// Bytes that a guest could place in a device's buffer, after a footer of that device.
    private static let decoys: [(name: String, bytes: [UInt8])] = [
        ("nothing plausible", [0xff, 0x13]),
        (
            "a section in one piece",
            [4, 0, 0, 0, 5, 3] + Array("abc".utf8) + [0, 0, 0, 0, 0, 0, 0, 1]
        ),
        ("a section with a long name", [4, 0, 0, 0, 5, 255] + Array(repeating: 0x61, count: 40)),
        ("a command", [8, 0, 11, 0, 0]),
        ("a command that is none", [8, 0, 12, 0, 0]),
        ("a part of no section", [2, 0, 0, 0, 77]),
        ("the end", [0]),
        ("the end and an empty description", [0, 6, 0, 0, 0, 0]),
        ("the end and an empty object", [0, 6, 0, 0, 0, 2] + Array("{}".utf8)),
        ("the end and no devices", [0, 6, 0, 0, 0, 14] + Array(#"{"devices":[]}"#.utf8)),
        ("the end and 256 MiB", [0, 6, 0x10, 0, 0, 0] + Array("{".utf8)),
        ("the end and 16 MiB", [0, 6, 0x01, 0, 0, 0] + Array("{".utf8)),
        ("the end and something that is not JSON", [0, 6, 0, 0, 0, 9] + Array("{\"a\": [}}".utf8)),
    ]

    private func stream(decoy: [UInt8]) -> (stream: MadeStream, body: [UInt8]) {
        var made = MadeStream()
        made.append("timer", id: 0, body: Array(repeating: 0, count: 24))
        let body =
            Array(repeating: 0x2e, count: 1000)
            + [0x7e, 0, 0, 0, 9] + decoy
            + Array(repeating: 0x2e, count: 3000)
        made.append("0000:00:02.0/buffer", id: 9, body: body)
        made.append("globalstate", id: 3, body: Array(repeating: 1, count: 104))
        return (made, body)
    }

    private func check(
        _ made: MadeStream,
        description: [UInt8]?,
        isVerified: Bool,
        _ comment: Comment
    ) throws {
        let bytes = made.bytes(description: description)
        for arrival in [DeviceSectionScanner.Arrival.quiet, .closed] {
            for chunk in [1, 10, 1001, 1 << 20] {
                var scanner = DeviceSectionScanner()
                var feeding = DeviceStateFeeding(bytes, atEnd: arrival)
                let end = try feeding.end(&scanner) { $0 + chunk - 1 }
                #expect(end.sections == made.run.sections, comment)
                #expect(end.byteCount == bytes.count, comment)
                #expect(end.isVerified == isVerified, comment)
            }
        }
    }

    @Test func `the description tells imitations from the end`() throws {
        for (name, decoy) in Self.decoys {
            let (made, _) = stream(decoy: decoy)
            try check(made, description: made.description, isVerified: true, "\(name)")
        }
    }

    @Test func `later footers tell imitations from the end if no description comes`() throws {
        for (name, decoy) in Self.decoys {
            let (made, _) = stream(decoy: decoy)
            try check(made, description: nil, isVerified: false, "\(name)")
        }
    }

    @Test func `a description without devices confirms nothing`() throws {
        for (name, decoy) in Self.decoys {
            let (made, _) = stream(decoy: decoy)
            try check(made, description: Array("{}".utf8), isVerified: false, "\(name)")
        }
    }

    @Test func `more bytes give a perfect imitation away`() throws {
        var before = MadeStream()
        before.append("timer", id: 0, body: Array(repeating: 0, count: 24))
        let forgery = Self.forgery(after: before, "0000:00:02.0/buffer", bodyCount: 1000)
        let (made, _) = stream(decoy: forgery)
        try check(made, description: made.description, isVerified: true, "forgery")
    }

    @Test func `an imitation is found without footers too`() throws {
        var before = MadeStream()
        before.append("timer", id: 0, body: Array(repeating: 0, count: 24))
        let forgery = Self.forgery(after: before, "0000:00:02.0/buffer", bodyCount: 1005)
        let (made, _) = stream(decoy: forgery)
        let bytes = made.bytes(footers: false, description: made.description)
        for chunk in [1, 500, 1 << 20] {
            var scanner = DeviceSectionScanner(hasFooters: false)
            var feeding = DeviceStateFeeding(bytes)
            let end = try feeding.end(&scanner) { $0 + chunk - 1 }
            #expect(end.byteCount == bytes.count)
            #expect(end.sections.map(\.body.count) == made.run.sections.map(\.body.count))
        }
    }

    @Test func `a description that claims other lengths is not believed`() throws {
        let (made, _) = stream(decoy: [0xff])
        var other = MadeStream()
        for section in made.run.sections {
            other.append(section.identity.name, id: section.id, body: [1, 2, 3])
        }
        try check(made, description: other.description, isVerified: false, "other lengths")
    }

    @Test func `a name that cannot be one is not waited for`() throws {
        var made = MadeStream()
        made.append("buffer", id: 9, body: [0x7e, 0, 0, 0, 9, 4, 0, 0, 0, 5, 255, 0x01])
        let bytes = made.bytes(description: nil)
        var scanner = DeviceSectionScanner()
        var feeding = DeviceStateFeeding(bytes)
        #expect(try feeding.end(&scanner).sections == made.run.sections)
        #expect(feeding.mostNeeded == bytes.count + 1)
    }

    @Test func `memory full of imitations costs bounded time`() throws {
        var buffer: [UInt8] = []
        for _ in 0..<2000 {
            buffer += [0x7e, 0, 0, 0, 9, 4, 0, 0, 0, 9, 1, 0x61, 0, 0, 0, 0, 0, 0, 0, 1]
            buffer += [0, 6, 0, 0, 0, 2] + Array("{}".utf8)
        }
        let (made, _) = stream(decoy: buffer)
        let bytes = made.bytes(description: made.description)
        var scanner = DeviceSectionScanner()
        var feeding = DeviceStateFeeding(bytes)
        let end = try feeding.end(&scanner) { $0 + 99_999 }
        #expect(end.sections == made.run.sections)
        #expect(end.isVerified)
    }
}
