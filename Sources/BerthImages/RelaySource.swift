import BerthStream
import BerthTransport

/// Where a relayed stream comes from: one channel, and over a socket as many others as it has.
struct RelaySource {
    /// The stream, from its first byte.
    let input: StreamInput
    private let gathered: GatheredChannels?

    /// The channel that carries the stream.
    var channel: Channel { input.channel }

    /// A stream that one channel carries, from where it stands.
    init(_ channel: Channel) {
        let start = channel.position ?? 0
        input = StreamInput(
            channel,
            position: start,
            end: Seal.streamEnd(in: channel, from: start)
        )
        gathered = nil
    }

    private init(_ gathered: GatheredChannels) {
        input = gathered.main
        self.gathered = gathered
    }

    /// Waits for a source; anything but a socket has one channel, which is there.
    ///
    /// - Throws: `ImageError` that says what came instead of a migration.
    @available(*, noasync)
    init(_ transport: IncomingTransport) throws(ImageError) {
        guard transport.address.isSocket else {
            do {
                self.init(try transport.accept())
                return
            } catch {
                throw ImageError(error)
            }
        }
        do {
            self.init(try ChannelGathering(.any).gather(from: transport))
        } catch {
            throw ImageError(error, during: "receiving from '\(transport.address)'")
        }
    }

    /// Finds the source's multifd channels, as many as it has made; nil where there can't be any.
    var findMultifd: (() throws(StreamError) -> MultifdReceiver?)? {
        guard let gathered else { return nil }
        return { () throws(StreamError) in
            try gathered.takeLate()
            let channels = try gathered.multifd
            return channels.isEmpty ? nil : MultifdReceiver(channels, main: channel)
        }
    }
}
