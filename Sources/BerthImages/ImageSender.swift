public import BerthStream
import BerthSystem
public import BerthTransport

/// `berth send`: feeds an image of either layout to a QEMU as a sequential stream.
public struct ImageSender {
    /// The image to read; `-` is standard input.
    public var path: String
    /// Whether a sealed image is compared with its seal first.
    public var checksSeal = true
    /// Called now and then with the progress.
    public var progress: ((StreamProgress) -> Void)?

    /// Describes an image to send.
    public init(path: String) {
        self.path = path
    }

    /// Sends to `uri`, or to standard output.
    /// - Throws: `ImageError` that says whose fault it was.
    @available(*, noasync)
    public func send(to uri: String?) throws(ImageError) {
        // First: a destination should not be disturbed for an image that can't be opened.
        let source = try openImage()
        guard let uri else {
            return try send(source, to: StandardStreams.output())
        }
        let target: Channel
        do throws(TransportError) {
            let transport = try OutgoingTransport(
                address: MigrationAddress(uri: uri),
                resources: TransportResources()
            )
            target = try transport.opensImmediately ? transport.openNow() : transport.connect()
        } catch {
            throw ImageError(error)
        }
        try send(source, to: target)
    }

    /// Sends to `target`; over a socket it also waits for the destination's verdict.
    /// - Throws: `ImageError` that says whose fault it was.
    @available(*, noasync)
    public func send(to target: Channel) throws(ImageError) {
        try send(openImage(), to: target)
    }

    private func send(_ source: Channel, to target: Channel) throws(ImageError) {
        let relay = StreamRelay(from: RelaySource(source), to: target, as: .sequential)
        relay.asksForVerdict = target.isBidirectional
        relay.progress = progress
        try relay.run { _ throws(ImageError) in
            try relay.source.finish()
        }
        do {
            try target.close()
        } catch {
            throw ImageError(error)
        }
    }

    /// The image's stream, also out of a libvirt save file or what a program has compressed.
    private func openImage() throws(ImageError) -> Channel {
        if path == "-" {
            return try StandardStreams.input()
        }
        if (try? FileStatus(path: path).isSeekable) == true {
            let image = try GuestImage(opening: path)
            _ = try image.checkSeal(checksSeal, nil)
            return try image.openStream()
        }
        do {
            return try IncomingTransport(
                address: .file(path: path, offset: 0),
                resources: TransportResources()
            ).accept()
        } catch {
            throw ImageError(error)
        }
    }
}
