import BerthStream
import BerthTransport

/// The channels of an outgoing migration: the stream's own, and those of pages beside it.
struct OutgoingChannels: Sendable {
    /// The stream's.
    let main: Channel
    /// Where pages go, one for each thread that sends them; none if they go with the stream.
    ///
    /// For sockets connections of their own; for a mapped-ram image the same file, which may be
    /// the same channel.
    let pages: [Channel]

    /// Two direct writes at a time: one thread hands out the next while the disk is at work.
    private static let directThreadCount = 2

    /// Opens what isn't a socket.
    ///
    /// - Throws: `TransportError`, also where a file can't be opened around the page cache.
    init(opening transport: OutgoingTransport, _ plan: OutgoingPlan) throws(TransportError) {
        main = try transport.openNow()
        guard plan.isMapped else {
            pages = []
            return
        }
        // Pages have places, so that one open file serves all threads.
        let file = plan.isDirect ? try transport.openAdditionalFile(isDirect: true) : main
        let count = plan.channelCount ?? (plan.isDirect ? Self.directThreadCount : 0)
        pages = Array(repeating: file, count: count)
    }

    /// Connects to a socket address: the main channel first, then the others, before any of them
    /// says more than its name, as QEMU does.
    ///
    /// - Throws: `TransportError`, `isAborted` after `abort()`.
    @available(*, noasync, message: "blocks its thread")
    init(connecting transport: OutgoingTransport, _ plan: OutgoingPlan) throws(TransportError) {
        main = try transport.connect()
        var pages: [Channel] = []
        for _ in 0..<(plan.channelCount ?? 0) {
            pages.append(try transport.connect())
        }
        self.pages = pages
    }

    /// Makes what writes the guest to these channels.
    ///
    /// - Throws: `StreamError` if the system has no thread left.
    func writer(_ plan: OutgoingPlan) throws(StreamError) -> any GuestWriter {
        let writer = try plainWriter(plan)
        guard let algorithm = plan.integrity else { return writer }
        return SealingWriter(writer, algorithm)
    }

    private func plainWriter(_ plan: OutgoingPlan) throws(StreamError) -> any GuestWriter {
        let output = StreamOutput(main, position: main.position ?? 0)
        if plan.isMapped {
            return pages.isEmpty
                ? MappedWriter(output) : try MappedWriter(output, pageChannels: pages)
        }
        guard plan.channelCount != nil else { return SequentialWriter(output) }
        return MultifdWriter(output, channels: pages, options: plan.multifd)
    }
}
