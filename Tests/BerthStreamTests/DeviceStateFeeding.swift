import BerthStream
import BerthTestSupport
import BerthWire

/// Plays the reader of a connection for a scanner.
struct DeviceStateFeeding {
    /// The bytes that will arrive.
    var stream: [UInt8]
    /// What the reader says when all have arrived.
    var arrivalAtEnd: DeviceSectionScanner.Arrival
    /// Commands that the scanner handed out.
    var commands: [StreamCommand] = []
    /// Most bytes that the scanner asked for.
    var mostNeeded = 0

    init(_ stream: [UInt8], atEnd arrival: DeviceSectionScanner.Arrival = .quiet) {
        self.stream = stream
        arrivalAtEnd = arrival
    }

    /// Feeds until the last verdict.
    ///
    /// - Parameter nextCount: from the number of bytes that the scanner wants to the number that
    ///   arrive; always at least one more than before.
    mutating func run(
        _ scanner: inout DeviceSectionScanner,
        nextCount: (Int) -> Int = { $0 }
    ) throws(WireError) -> DeviceSectionScanner.Verdict {
        var available = 0
        while true {
            let arrived = stream
            let bytes = arrived.span.extracting(..<available)
            let verdict = try scanner.advance(bytes, arrival: .flowing)
            switch verdict {
            case .command(let command):
                commands.append(command)
                continue
            case .nativeSection:
                return verdict
            case .end:
                // More bytes put an end in doubt; a connection would deliver them.
                if available == stream.count {
                    return verdict
                }
            case .needMore(let count):
                mostNeeded = max(mostNeeded, count)
                if available == stream.count {
                    return try scanner.advance(bytes, arrival: arrivalAtEnd)
                }
            }
            var wanted = available + 1
            if case .needMore(let count) = verdict {
                wanted = nextCount(max(count, wanted))
            }
            available = min(max(wanted, available + 1), stream.count)
        }
    }

    /// Feeds and gives the end.
    mutating func end(
        _ scanner: inout DeviceSectionScanner,
        nextCount: (Int) -> Int = { $0 }
    ) throws -> DeviceSectionScanner.End {
        let verdict = try run(&scanner, nextCount: nextCount)
        guard case .end(let end) = verdict else {
            throw NoEnd(verdict: verdict)
        }
        return end
    }

    /// The scanner said something else in the end.
    struct NoEnd: Error {
        var verdict: DeviceSectionScanner.Verdict
    }
}

/// A stream from the first device section on, made for a test.
struct MadeStream {
    var run = DeviceSectionRun()
    var devices: [String] = []

    /// Appends a section in one piece, described as a single field.
    mutating func append(_ name: String, id: UInt32, body: [UInt8]) {
        run.append(
            id: id,
            identity: .init(name: name, instance: 0, version: 1),
            body: body,
            footer: true
        )
        devices.append(
            #"{"name": "\#(name)", "instance_id": 0, "vmsd_name": "\#(name)", "version": 1, "#
                + #""fields": [{"name": "data", "type": "buffer", "size": \#(body.count)}]}"#
        )
    }

    /// The description of the sections so far.
    var description: [UInt8] {
        Array(
            #"{"page_size": 4096, "devices": [\#(devices.joined(separator: ", "))]}"#.utf8
        )
    }

    /// The sections, the end of the elements, and the description if one is given.
    func bytes(footers: Bool = true, description: [UInt8]?) -> [UInt8] {
        run.encoded(footers: footers) + Self.tail(description: description)
    }

    /// What follows the last section.
    static func tail(description: [UInt8]?) -> [UInt8] {
        var output: [UInt8] = [0]
        if let description {
            VMDescriptionHeader(textByteCount: description.count).encode(into: &output)
            output += description
        }
        return output
    }
}
