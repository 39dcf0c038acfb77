import BerthTransport
import BerthWire

/// Keeps the sections that Berth doesn't look into, byte for byte, while a stream is read.
///
/// `DeviceSectionScanner` decides where they end; this type reads for it, never a byte more than
/// it asks for: a source with a return path sends nothing after its last byte and waits.
struct DeviceStateCollector {
    /// Whether the source sends footers; nil until its RAM section has shown it.
    var hasFooters: Bool?
    /// What was collected.
    private(set) var state = DeviceState(final: DeviceSectionRun(), description: nil)
    /// Where the headers of the kept sections are in the stream, in their order.
    private(set) var earlyOffsets: [UInt64] = []
    private(set) var finalOffsets: [UInt64] = []
    private var ledger = SectionLedger()
    private var earlyByteCountTaken = 0

    /// How long no byte may come before a source counts as waiting for its verdict.
    private static let quietTime = Duration.milliseconds(250)

    /// The same where the description confirmed every length.
    ///
    /// All that is left to exclude is device memory in which the guest imitates a whole stream's
    /// end: the bytes after it are in the same burst. The guest stands still meanwhile, so this is
    /// part of every downtime.
    private static let confirmedQuietTime = Duration.milliseconds(50)

    /// Sections whose bodies have a known length, so that no imitation can hide in them.
    private static let fixedSections: Set<String> = [
        TimerState.sectionName, GlobalState.sectionName,
    ]

    /// How a run of opaque sections ended.
    enum Outcome {
        /// The reader goes on with the element at the input's position.
        case element
        /// The stream has ended.
        case end
    }

    /// Whether parts of a section with this id may come.
    func continues(_ id: UInt32) -> Bool {
        ledger.contains(id)
    }

    /// Takes note of the section that the reader understands by itself.
    mutating func noteNative(_ id: UInt32) {
        ledger.native.insert(id)
    }

    /// Reads from the input's position, where an opaque section or the end mark begins.
    ///
    /// - Parameters:
    ///   - obey: takes the commands that come between sections.
    ///   - judge: takes each section's identity before it is kept.
    mutating func collect(
        from input: StreamInput,
        obey: (StreamCommand) throws(StreamError) -> Void,
        judge: (SectionHeader.Identity) throws(StreamError) -> Void
    ) throws(StreamError) -> Outcome {
        var scanner = DeviceSectionScanner(
            hasFooters: hasFooters ?? true,
            ledger: ledger,
            earlier: state.early.sections.filter { $0.kind == .full }.map(\.identity),
            base: input.position
        )
        var arrival = DeviceSectionScanner.Arrival.flowing
        while true {
            switch try advance(&scanner, input, arrival) {
            case .needMore(let count):
                arrival = try fetch(count, input, wasQuiet: arrival == .quiet)
            case .command(let command):
                try obey(command)
            case .nativeSection(let index):
                try keep(scanner.sections, input, in: \.early, judge)
                earlyOffsets += scanner.sections.map { input.position + UInt64($0.start) }
                ledger = scanner.ledger
                input.consume(index)
                return .element
            case .end(let end):
                if try !isSettled(end, input, arrival) {
                    arrival = .flowing
                    continue
                }
                try keep(end.sections, input, in: \.final, judge)
                finalOffsets = end.sections.map { input.position + UInt64($0.start) }
                state.hasFooters = hasFooters ?? true
                if let range = end.description {
                    state.description = unsafe Array(input.unread[range])
                }
                input.consume(end.byteCount)
                return .end
            }
        }
    }

    private func advance(
        _ scanner: inout DeviceSectionScanner,
        _ input: StreamInput,
        _ arrival: DeviceSectionScanner.Arrival
    ) throws(StreamError) -> DeviceSectionScanner.Verdict {
        do {
            return try scanner.advance(
                unsafe input.unread.bindMemory(to: UInt8.self).span,
                arrival: arrival
            )
        } catch {
            throw StreamError(error)
        }
    }

    private func fetch(
        _ count: Int,
        _ input: StreamInput,
        wasQuiet: Bool
    ) throws(StreamError) -> DeviceSectionScanner.Arrival {
        // After a quiet time that settled nothing only waiting helps.
        if !wasQuiet, try !isReadable(input, within: Self.quietTime) {
            return .quiet
        }
        return try input.fetch(min(count, input.available + StreamInput.readByteCount))
            ? .flowing : .closed
    }

    /// Whether the end that was found is the end.
    private func isSettled(
        _ end: DeviceSectionScanner.End,
        _ input: StreamInput,
        _ arrival: DeviceSectionScanner.Arrival
    ) throws(StreamError) -> Bool {
        if arrival != .flowing || input.channel.isSeekable { return true }
        // More has come, and the scanner has judged it: it won't judge otherwise by yet more, which
        // can be without end.
        if end.byteCount < input.available { return true }
        if end.isVerified,
            end.sections.allSatisfy({ Self.fixedSections.contains($0.identity.name) })
        {
            return true
        }
        let time = end.isVerified ? Self.confirmedQuietTime : Self.quietTime
        guard try isReadable(input, within: time) else { return true }
        return try !input.fetch(input.available + 1)
    }

    private func isReadable(
        _ input: StreamInput,
        within time: Duration
    ) throws(StreamError) -> Bool {
        do {
            return try input.channel.waitReadable(timeout: time)
        } catch {
            throw StreamError(error)
        }
    }

    /// The bytes of early sections that came since the last call.
    mutating func takeNewEarlySections() -> [UInt8] {
        let bytes = state.early.bytes
        defer { earlyByteCountTaken = bytes.count }
        return Array(bytes[earlyByteCountTaken...])
    }

    private mutating func keep(
        _ sections: [DeviceSection],
        _ input: StreamInput,
        in run: WritableKeyPath<DeviceState, DeviceSectionRun>,
        _ judge: (SectionHeader.Identity) throws(StreamError) -> Void
    ) throws(StreamError) {
        for section in sections {
            try judge(section.identity)
        }
        let copied = sections.reduce(state.byteCount) { $0 + $1.end - $1.start }
        guard copied <= DeviceState.byteCountLimit else {
            throw StreamError(
                .limitExceeded,
                "the device state has over \(DeviceState.byteCountLimit) bytes",
                at: input.position
            )
        }
        state[keyPath: run].append(
            sections,
            copying: unsafe input.unread.bindMemory(to: UInt8.self).span
        )
    }
}
