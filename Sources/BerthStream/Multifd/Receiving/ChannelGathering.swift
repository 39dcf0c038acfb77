public import BerthTransport
public import BerthWire

/// Takes the connections of one incoming migration and finds out what each of them is.
///
/// Overview: a source connects the main channel and the multifd channels to the same address; the
/// first bytes on each tell which is which.
///
/// Function: connections are accepted without waiting for what comes over them. Since QEMU 9.0 a
/// source makes all of them before it writes to its main channel, so the stream's first bytes say
/// that everything is there; older ones do by the end of the first section. Connections may be
/// accepted, and may begin to speak, in any order.
public struct ChannelGathering: Sendable {
    /// Which multifd channels are to come.
    public enum Expectation: Sendable, Equatable {
        /// None: multifd is off here.
        case none
        /// As many as `multifd-channels` says.
        case exactly(Int)
        /// As many as the source has made.
        case any
    }

    /// How long a source may take for what takes it no time.
    public struct Patience: Sendable {
        /// From the main channel's first bytes until every other channel has said what it is.
        ///
        /// Ample for a lost packet to be sent again a few times.
        public var lateChannels = Duration.seconds(5)
        /// From the first connection until the main channel's first bytes.
        ///
        /// Only a person or a broken source is slower.
        public var mainChannel = Duration.seconds(60)

        /// The times that suit a network.
        public init() {}
    }

    /// Most connections of one migration: the main channel and as many others as ids exist.
    static let connectionLimit = 257

    /// How long after the last connection a source counts as having made all of them.
    private static let lullTime = Duration.milliseconds(100)

    /// Which multifd channels are to come.
    public var expectation: Expectation
    /// The UUID that the guest must have; nil takes any.
    public var uuid: GuestUUID?
    /// How long a source may take.
    public var patience = Patience()

    /// Describes what is to come.
    public init(_ expectation: Expectation, uuid: GuestUUID? = nil) {
        self.expectation = expectation
        self.uuid = uuid
    }

    /// Waits for the main channel, and where it is known how many others there are, for those.
    ///
    /// - Parameter transport: listens on a socket; it goes on doing so.
    /// - Throws: `StreamError`: channels too few or too many, of another guest, of no migration;
    ///   `.aborted` after the transport's `abort()`.
    @available(*, noasync, message: "blocks its thread")
    public func gather(from transport: IncomingTransport) throws(StreamError) -> GatheredChannels {
        var arrived = ArrivedChannels(self)
        var deadline: ContinuousClock.Instant?
        while true {
            if arrived.hasTooMany { try refuse(arrived, transport) }
            // One more look, so that a connection too many isn't overlooked.
            let timeout =
                arrived.isComplete
                ? .zero : deadline.map { ContinuousClock.now.duration(to: $0) }
            switch try next(transport, arrived.unidentified, timeout) {
            case .connection(let channel):
                try arrived.add(channel)
                if arrived.connectionCount == 1, expectation != .none {
                    deadline = .now + patience.mainChannel
                }
            case .bytes(let index):
                let hadMain = arrived.main != nil
                try arrived.read(index)
                if !hadMain, arrived.main != nil {
                    deadline = .now + patience.lateChannels
                }
            case .nothing:
                guard arrived.isComplete, let main = arrived.main else {
                    throw arrived.whatIsMissing
                }
                return GatheredChannels(
                    main: StreamInput(main.channel, first: main.bytes),
                    arrived,
                    transport
                )
            }
        }
    }

    /// Counts the connections, so that the error can say how many the source makes.
    private func refuse(
        _ arrived: ArrivedChannels,
        _ transport: IncomingTransport
    ) throws(StreamError) -> Never {
        var arrived = arrived
        while case .connection(let channel) = try next(transport, [], Self.lullTime) {
            try arrived.add(channel)
        }
        throw arrived.wrongCount
    }

    func next(
        _ transport: IncomingTransport,
        _ connections: [ArrivedChannels.Connection],
        _ timeout: Duration?
    ) throws(StreamError) -> IncomingTransport.Arrival {
        do {
            return try transport.nextArrival(on: connections.map(\.channel), timeout: timeout)
        } catch {
            throw StreamError(error)
        }
    }
}
