public import BerthTransport

/// The channels of one incoming migration, as far as they are there.
///
/// Owned by the thread that reads the main channel.
public final class GatheredChannels {
    /// The main channel, from the stream's first byte.
    public let main: StreamInput

    private let transport: IncomingTransport
    private var arrived: ArrivedChannels
    private var isListening = true

    init(main: StreamInput, _ arrived: ArrivedChannels, _ transport: IncomingTransport) {
        self.main = main
        self.arrived = arrived
        self.transport = transport
    }

    /// The multifd channels behind their initial packets, by id.
    ///
    /// - Throws: `.malformed` if the ids leave some out.
    public var multifd: [Channel] {
        get throws(StreamError) { try arrived.channelsInOrder() }
    }

    /// Takes what has come since, and stops to listen.
    ///
    /// To be called when the stream's first section is complete: no source ends it before all
    /// multifd channels have passed their first sync point. Where none was expected, other
    /// connections stay open: a source that sees one closed ends before it can be told why.
    ///
    /// - Throws: `.mismatch` for a multifd channel where multifd is off; `.truncated` for a
    ///   connection that doesn't say what it is.
    @available(*, noasync, message: "blocks its thread")
    public func takeLate() throws(StreamError) {
        let gathering = arrived.gathering
        let deadline = ContinuousClock.now + gathering.patience.lateChannels
        while isListening || !arrived.unidentified.isEmpty {
            let mayWait = gathering.expectation != .none && !arrived.unidentified.isEmpty
            let timeout = mayWait ? ContinuousClock.now.duration(to: deadline) : .zero
            switch try gathering.next(transport, arrived.unidentified, timeout) {
            case .connection(let channel):
                try arrived.add(channel)
            case .bytes(let index):
                try arrived.read(index)
            case .nothing:
                if mayWait { throw arrived.whatIsMissing }
                close()
                return
            }
        }
    }

    /// Stops to listen: nothing else is to come.
    public func close() {
        isListening = false
        transport.close()
    }
}
