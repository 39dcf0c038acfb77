import BerthStream
import BerthTransport

/// Where a relayed stream comes from: one channel, or a main channel with multifd channels.
struct RelaySource {
    /// The stream, from its first byte.
    let input: StreamInput
    /// The other channels; nil if there are none.
    let multifd: MultifdReceiver?

    /// The channel that carries the stream.
    var channel: Channel { input.channel }

    /// A stream that one channel carries, from where it stands.
    init(_ channel: Channel) {
        input = StreamInput(channel, position: channel.position ?? 0)
        multifd = nil
    }

    private init(_ gathered: GatheredChannels) {
        input = gathered.main
        multifd =
            gathered.multifd.isEmpty
            ? nil : MultifdReceiver(gathered.multifd, main: gathered.main.channel)
    }

    /// Takes as many connections as the source makes; anything but a socket has one channel.
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
}
