import BerthStream
import BerthTransport
import BerthWire

/// Passes a stream on as it comes: a reader joined to a writer, with no guest between them.
///
/// Memory is constant: buffers, and one bit for each page of a mapped-ram output.
final class StreamRelay {
    /// Where the stream comes from.
    let source: RelaySource
    /// Where it goes.
    let target: Channel
    /// The layout in which it is written.
    let layout: StreamLayout
    /// Whether the target is asked for a verdict, so that a failed load is noticed.
    var asksForVerdict = false
    /// Where answers to the source go; nil if it can't hear any.
    var answers: Channel?
    /// What the domain's XML says of the guest; the stream of another guest is refused.
    var definition: DomainDefinition?
    /// Called at most every 100 ms with the progress so far.
    var progress: ((StreamProgress) -> Void)?

    private let writer: any GuestWriter
    private var configuration = ConfigurationSection(machineName: "")
    private var isIterating = false
    private var hasBegun = false
    /// Sections that came before the list of blocks (an IOMMU's), until the output begins.
    private var sectionsBeforeRAM: [UInt8] = []
    private var lastReport = ContinuousClock.now

    /// Joins two channels.
    ///
    /// - Parameters:
    ///   - integrity: how pages are summed up for a seal behind the output; nil for none.
    ///   - behind: writes the target's file; nil where the calls themselves do.
    init(
        from source: RelaySource,
        to target: Channel,
        as layout: StreamLayout,
        integrity: IntegrityAlgorithm? = nil,
        behind: WriteBehind? = nil
    ) {
        self.source = source
        self.target = target
        self.layout = layout
        let output = StreamOutput(target, position: target.position ?? 0, behind: behind)
        let plain: any GuestWriter =
            switch layout {
            case .mappedRAM: MappedWriter(output)
            case .sequential: SequentialWriter(output)
            }
        writer = integrity.map { SealingWriter(plain, $0) } ?? plain
    }

    /// Passes the whole stream on.
    ///
    /// The source is told that all went well only after `commit` has returned: what it then lets
    /// go of must be safe.
    /// - Parameter commit: makes the output durable, and visible under its name.
    /// - Throws: `ImageError`; the source has then been told that it failed.
    @available(*, noasync)
    func run(commit: (ReceivedStream) throws(ImageError) -> Void) throws(ImageError) {
        do throws(ImageError) {
            let received = try transfer()
            try commit(received)
            if received.expectsVerdict {
                try tellSource(.shut(0))
            }
        } catch {
            // It fails by itself if it can't hear this.
            try? tellSource(.shut(1))
            throw error
        }
    }

    private func transfer() throws(ImageError) -> ReceivedStream {
        do throws(StreamError) {
            let received = try StreamReader(
                source.input,
                receiver: self,
                findMultifd: source.findMultifd
            ).read()
            if isIterating {
                try writer.endIteration()
            }
            try writer.beginCompletion(announced: received.hadSwitchoverStart)
            // What was cut off must not look whole. A destination that answers would wait for one.
            let description = received.deviceState.description
            try writer.finish(
                deviceSections: received.deviceState.final.encoded(footers: true),
                description: asksForVerdict ? description ?? [] : description
            )
            try (writer as? SealingWriter)?.seal(received.deviceState)
            if asksForVerdict {
                try ReturnPathReader(target).awaitVerdict()
            }
            progress?(received.progress)
            return received
        } catch {
            if let failure = source.input.failureOfProgram(insteadOf: error) { throw failure }
            throw ImageError(error, during: "copying '\(source.channel.name)' to '\(target.name)'")
        }
    }

    private func tellSource(_ message: ReturnPathMessage) throws(ImageError) {
        do {
            try answer(message)
        } catch {
            throw ImageError(error, during: "answering the source")
        }
    }
}

extension StreamRelay: StreamReceiver {
    /// Keeps it for the output; whether the layouts agree doesn't matter here.
    ///
    /// A stream without shared memory is refused: an image has to have all of it. So is one of
    /// another guest than the domain's XML is of.
    func accept(_ configuration: ConfigurationSection) throws(StreamError) {
        if configuration.capabilities.contains("x-ignore-shared") {
            throw StreamError(
                .unsupported,
                "the stream leaves shared memory out (capability x-ignore-shared)",
                hint: "turn x-ignore-shared off on the source and migrate again"
            )
        }
        if let contradiction = definition?.contradictions(to: configuration).first {
            throw StreamError(
                .mismatch,
                contradiction,
                hint: "give the XML of the guest that was saved, as it was then"
            )
        }
        self.configuration = configuration
        self.configuration.capabilities.removeAll { $0 == "mapped-ram" }
    }

    /// Begins the output.
    func accept(
        _ blocks: [StreamBlock],
        ramSectionID: UInt32
    ) throws(StreamError) -> any PageSink {
        try writer.begin(
            StreamPlan(
                configuration: configuration,
                ramSectionID: ramSectionID,
                opensReturnPath: asksForVerdict
            ),
            blocks: blocks,
            earlySections: sectionsBeforeRAM
        )
        hasBegun = true
        return self
    }

    /// Every section is kept.
    func accept(section: SectionHeader.Identity) throws(StreamError) {}

    /// Writes them where they belong: before the pages that follow.
    func kept(earlySections: [UInt8]) throws(StreamError) {
        guard hasBegun else {
            sectionsBeforeRAM += earlySections
            return
        }
        if isIterating {
            try writer.endIteration()
            isIterating = false
        }
        try writer.output.put(earlySections)
    }

    /// Tells the source, if it can hear.
    func answer(_ message: ReturnPathMessage) throws(StreamError) {
        guard let answers else { return }
        try ReturnPath.send(message, on: answers)
    }

    /// Reports now and then.
    func progressed(_ progress: StreamProgress) throws(StreamError) {
        guard let report = self.progress else { return }
        let now = ContinuousClock.now
        guard lastReport.duration(to: now) >= .milliseconds(100) else { return }
        lastReport = now
        report(progress)
    }
}

extension StreamRelay: PageSink {
    /// Passes a run on, inside an iteration.
    func write(_ run: DataRun) throws(StreamError) {
        try beginIterationIfNeeded()
        try writer.write(run)
    }

    /// Passes zero pages on, inside an iteration.
    func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        try beginIterationIfNeeded()
        try writer.zero(block: block, offset: offset, byteCount: byteCount)
    }

    /// Passes a difference on, inside an iteration.
    func apply(_ delta: PageDelta) throws(StreamError) {
        try beginIterationIfNeeded()
        try writer.apply(delta)
    }

    /// Lets go of the reader's buffer.
    func settle() throws(StreamError) {
        try writer.settle()
    }

    private func beginIterationIfNeeded() throws(StreamError) {
        guard !isIterating else { return }
        isIterating = true
        try writer.beginIteration()
    }
}
