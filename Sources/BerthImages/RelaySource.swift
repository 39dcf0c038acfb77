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

    /// Throws if the first bytes are those of something that isn't a stream, and is known.
    ///
    /// Takes none of them, and waits for no more than any stream begins with.
    /// - Throws: `ImageError` that says what came.
    @available(*, noasync)
    func requireBareStream() throws(ImageError) {
        do throws(StreamError) {
            // As many as libvirt's magic has, the longest one of them.
            _ = try input.fetch(16)
        } catch {
            throw ImageError(error, during: "reading '\(channel.name)'")
        }
        let first = unsafe Array(input.unread.prefix(ImageContent.byteCount))
        let known: String
        var hint: String? = "'berth convert FILE OUTPUT' reads it from the file itself"
        switch ImageContent(firstBytes: first) {
        case .libvirt: known = "a libvirt save file"
        case .compressedStream(let compression): known = "compressed with \(compression.rawValue)"
        case .foreign(let name): (known, hint) = (name, nil)
        // Its reader says what is wrong with it.
        case .stream, .cutOff, .unknown, .empty: return
        }
        throw ImageError("\(channel.name) is \(known), not a migration stream", hint: hint)
    }

    /// Reads what a program still gives behind the stream, which ends with this.
    ///
    /// What decompresses has checked all it checks only at its end. Comes before what was made of
    /// the stream is used.
    /// - Throws: `ImageError` if the program failed.
    @available(*, noasync)
    func finish() throws(ImageError) {
        if channel.isCommand { try input.readToEnd() }
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
