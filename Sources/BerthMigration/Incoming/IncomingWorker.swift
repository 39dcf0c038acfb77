import BerthMemory
import BerthQAPI
import BerthStream
import BerthSystem
import BerthTransport
import BerthWire

/// The data thread of an incoming migration: accepts, reads, checks, answers.
///
/// Nothing of the guest is taken over before the whole stream was read and checked: a load that
/// fails leaves an endpoint whose guest never ran.
final class IncomingWorker: StreamReceiver {
    /// ROMs and video memory of a machine are tens of MiB; 1 GiB leaves room for large displays.
    static let adoptedByteLimit = 1 << 30

    private let plan: IncomingPlan
    /// The file of a mapped-ram image, opened around the page cache if that is wanted.
    private let direct: Channel?
    private let orders: MigrationOrders
    private let report: @Sendable (IncomingReport) -> Void
    private var blocks: [RAMBlock] = []
    private var channel: Channel?
    private var multifd: MultifdReceiver?
    private var gathered: GatheredChannels?
    private var sink: GuestMemorySink?
    private var hold: ImageHold?

    init(
        _ plan: IncomingPlan,
        direct: Channel?,
        orders: MigrationOrders,
        report: @escaping @Sendable (IncomingReport) -> Void
    ) {
        self.plan = plan
        self.direct = direct
        self.orders = orders
        self.report = report
    }

    /// Does the whole work; the last report is `.loaded` or `.failed`.
    @available(*, noasync)
    func run(_ transport: IncomingTransport) {
        do throws(StreamError) {
            let input = try connect(transport)
            let channel = input.channel
            self.channel = channel
            // Before the first byte is read: what was read must be true as long as it matters.
            if plan.mapsImage, channel.isSeekable { hold = try ImageHold(channel) }
            report(.loaded(try load(input)))
        } catch {
            transport.close()
            refuse()
            sink?.giveUp()
            report(.failed(MigrationError(error, during: "loading the guest")))
        }
    }

    /// Takes the connections of one source, or what else is to be read.
    private func connect(_ transport: IncomingTransport) throws(StreamError) -> StreamInput {
        guard transport.address.isSocket else {
            do {
                let channel = try transport.accept()
                // One guest comes once.
                transport.close()
                return StreamInput(channel, position: channel.position ?? 0)
            } catch {
                throw StreamError(error)
            }
        }
        var gathering = ChannelGathering(.none)
        if let multifd = plan.multifd {
            gathering.expectation = .exactly(multifd.channelCount)
            // As QEMU has it: a source without a UUID sends zeros, and they must be right, too.
            gathering.uuid = plan.identity.uuid ?? .zero
        }
        let gathered = try gathering.gather(from: transport)
        self.gathered = gathered
        if let multifd = plan.multifd {
            gathered.close()
            self.multifd = MultifdReceiver(
                try gathered.multifd,
                main: gathered.main.channel,
                method: multifd.method,
                flushesEachSection: multifd.flushesEachSection
            )
        }
        return gathered.main
    }

    private func load(_ input: StreamInput) throws(StreamError) -> LoadedGuest {
        let channel = input.channel
        let start = input.position
        guard try input.fetch(1) else { throw emptyStream(channel) }
        report(.streamBegan)
        let reader = StreamReader(
            input,
            receiver: self,
            multifd: multifd,
            findMultifd: multifd == nil && gathered != nil ? refuseMultifd : nil
        )
        if plan.isMapped {
            reader.pageChannels = Array(repeating: direct ?? channel, count: plan.readerCount)
        }
        let stream = try reader.read()
        // A source with a machine type up to 8.0 has no word for sync points: without its multifd
        // channels the stream ends well, and no page was seen.
        _ = try refuseMultifd()
        let runState = try runState(of: stream)
        try checkSeal(of: channel, stream, start)
        if stream.expectsVerdict {
            try answer(.shut(0))
        }
        // The guest is whole; a command that lingers doesn't change that.
        channel.closeWithoutWaiting()
        var image: LoadedImage?
        if plan.isMapped, let sink {
            image = LoadedImage(channel.name, blocks, sink.placements, hold)
        }
        return LoadedGuest(blocks: blocks, stream: stream, runState: runState, image: image)
    }

    /// Compares what was loaded with the seal of its image, if there is one.
    ///
    /// Pages that lie on the image aren't read for it: that is what they lie there for.
    private func checkSeal(
        of channel: Channel,
        _ stream: ReceivedStream,
        _ start: UInt64
    ) throws(StreamError) {
        guard channel.objectKind == .regularFile, let seal = try Seal.find(in: channel) else {
            return
        }
        let hint =
            "'berth verify' lists all faults; 'berth seal --remove' makes it loadable as it is"
        guard seal.header.streamStart == start, seal.header.streamEnd == stream.places.end else {
            throw StreamError(
                .mismatch,
                "the seal behind the image is of another stream",
                at: seal.place.lowerBound,
                hint: hint
            )
        }
        var verdict = seal.check(stream.blocks)
        verdict.add(seal.check(stream.configuration, stream.deviceState))
        var loaded: [LoadedBlock] = []
        for block in blocks where !block.liesOnImage {
            let bytes = unsafe UnsafeRawBufferPointer(start: block.base, count: block.byteCount)
            loaded.append(unsafe LoadedBlock(name: block.id, bytes: bytes))
        }
        verdict.add(try seal.check(loaded, threadCount: Self.checkThreadCount))
        if let error = verdict.error {
            throw StreamError(error.code, error.message, at: error.offset, hint: hint)
        }
    }

    /// A core sums up 5 to 10 GiB/s of memory; two are as fast as memory is.
    private static let checkThreadCount = 2

    /// Throws if the source sends over multifd channels, though multifd is off here.
    private func refuseMultifd() throws(StreamError) -> MultifdReceiver? {
        try gathered?.takeLate()
        return nil
    }

    private func emptyStream(_ channel: Channel) -> StreamError {
        do {
            try channel.close()
        } catch {
            return StreamError(error)
        }
        return StreamError(.truncated, "'\(channel.name)' gave no data at all", at: 0)
    }

    /// The run states that a source can be in before it stops its guest for a migration.
    private static let sourceStates: Set<RunState> = [
        .running, .suspended, .paused, .prelaunch, .shutdown, .ioError, .internalError, .watchdog,
        .guestPanicked,
    ]

    private func runState(of stream: ReceivedStream) throws(StreamError) -> RunState? {
        let sections = stream.deviceState.final.sections
        guard sections.contains(where: { $0.identity.name == GlobalState.sectionName }) else {
            return nil
        }
        let name = stream.deviceState.globalState?.runState
        guard let state = name.flatMap(RunState.init(rawValue:)),
            Self.sourceStates.contains(state)
        else {
            throw StreamError(
                .malformed,
                name.map { "section 'globalstate' has the run state '\($0)'" }
                    ?? "section 'globalstate' has no run state that can be read"
            )
        }
        return state
    }

    /// Tells a source that waits for a verdict; whether it hears it no longer matters.
    private func refuse() {
        try? answer(.shut(1))
        channel?.closeWithoutWaiting()
    }

    // MARK: StreamReceiver

    var acknowledgesSwitchover: Bool { plan.acknowledgesSwitchover }

    func accept(_ configuration: ConfigurationSection) throws(StreamError) {
        guard configuration.machineName == plan.identity.machineType else {
            throw StreamError(
                .mismatch,
                "the stream is of machine '\(configuration.machineName)', this endpoint is "
                    + "'\(plan.identity.machineType)'",
                hint: "start the endpoint with -machine \(configuration.machineName)"
            )
        }
        try compare(.mappedRAM, configuration, isOnHere: plan.isMapped)
        try compare(.xIgnoreShared, configuration, isOnHere: plan.leavesOutSharedBlocks)
        if let theirs = configuration.uuid, let ours = plan.identity.uuid, theirs != ours {
            throw StreamError(
                .mismatch,
                "the stream is of the guest with UUID \(theirs), this endpoint has \(ours)",
                hint: "start the endpoint with -uuid \(theirs)"
            )
        }
    }

    /// A capability that changes the stream must be on at both ends or at none.
    private func compare(
        _ capability: MigrationCapability,
        _ configuration: ConfigurationSection,
        isOnHere: Bool
    ) throws(StreamError) {
        let name = capability.rawValue
        switch (configuration.capabilities.contains(name), isOnHere) {
        case (true, false):
            throw StreamError(
                .mismatch,
                "the source saved with capability \(name) on, it is off on the destination",
                hint: "turn it on here: migrate_set_capability \(name) on"
            )
        case (false, true):
            throw StreamError(
                .mismatch,
                "capability \(name) is on on the destination, the source saved with it off",
                hint: "turn it off here: migrate_set_capability \(name) off"
            )
        default:
            break
        }
    }

    func accept(
        _ listed: [StreamBlock],
        ramSectionID: UInt32
    ) throws(StreamError) -> any PageSink {
        var adopted = 0
        for block in listed {
            if let own = plan.blocks.first(where: { $0.id == block.name }) {
                guard own.byteCount == block.byteCount else {
                    throw StreamError(
                        .mismatch,
                        "RAM block '\(block.name)' has \(block.byteCount) bytes in the stream and "
                            + "\(own.byteCount) here",
                        hint: "start the endpoint with the memory size of the source (-m)"
                    )
                }
                blocks.append(own)
                continue
            }
            try adopt(block, &adopted, listed)
        }
        if let missing = plan.blocks.first(where: { own in !blocks.contains { $0 === own } }) {
            throw StreamError(
                .mismatch,
                "the stream has no RAM block '\(missing.id)' (it has \(names(listed)))",
                hint: "use the source's -machine, -m and memory backends"
            )
        }
        let sink = GuestMemorySink(blocks, image: hold?.image)
        self.sink = sink
        return sink
    }

    private func adopt(
        _ block: StreamBlock,
        _ total: inout Int,
        _ listed: [StreamBlock]
    ) throws(StreamError) {
        guard plan.adoptsBlocks else {
            let own = plan.blocks.map { "'\($0.id)'" }.joined(separator: ", ")
            throw StreamError(
                .mismatch,
                "the stream has a RAM block '\(block.name)', this endpoint has "
                    + (own.isEmpty ? "none" : "only \(own)"),
                hint: "use the source's -machine, -m and memory backends"
            )
        }
        total += block.byteCount
        guard total <= Self.adoptedByteLimit else {
            throw StreamError(
                .limitExceeded,
                "RAM block '\(block.name)' brings the memory that this endpoint's options don't "
                    + "declare to \(total) bytes, at most \(Self.adoptedByteLimit) are taken",
                hint: "declare it with -m or a memory backend of that name"
            )
        }
        do {
            blocks.append(try RAMBlock(id: block.name, byteCount: block.byteCount))
        } catch {
            throw StreamError(.limitExceeded, "no memory for RAM block '\(block.name)': \(error)")
        }
    }

    private func names(_ listed: [StreamBlock]) -> String {
        // A hostile list can be long; the first names tell enough.
        let shown = listed.prefix(4).map { "'\($0.name)'" }.joined(separator: ", ")
        return listed.count > 4 ? shown + ", …" : listed.isEmpty ? "none" : shown
    }

    func accept(section: SectionHeader.Identity) throws(StreamError) {
        guard let known = plan.knownSections, !known.contains(section.name) else { return }
        throw StreamError(
            .mismatch,
            "unknown section '\(section.name)' (instance \(section.instance)) for machine "
                + "'\(plan.identity.machineType)'",
            hint: "start the endpoint with the source's -machine"
        )
    }

    /// Nothing to do now: the received stream has them.
    func kept(earlySections: [UInt8]) {}

    func answer(_ message: ReturnPathMessage) throws(StreamError) {
        // A file that was written as if to a socket has requests that nobody waits for.
        guard let channel, channel.isBidirectional else { return }
        try ReturnPath.send(message, on: channel)
    }

    func progressed(_ progress: StreamProgress) throws(StreamError) {
        if orders.isCancelled {
            throw StreamError(.aborted, "the endpoint is shutting down")
        }
    }
}
