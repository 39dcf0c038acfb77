public import BerthStream
public import BerthTransport

/// `berth receive`: takes an outgoing migration of any QEMU and keeps it as an image.
public struct ImageReceiver {
    /// The image to write; `-` is standard output, for sequential images.
    public var path: String
    /// The layout to write.
    public var format: ImageFormat
    /// Called now and then with the progress.
    public var progress: ((StreamProgress) -> Void)?

    /// Describes an image to receive.
    public init(path: String, format: ImageFormat = .mappedRAM) {
        self.path = path
        self.format = format
    }

    /// Receives from a connection to `uri`, or from standard input.
    ///
    /// A source on standard input hears answers on standard output, if that is a pipe.
    /// - Throws: `ImageError`; nothing is left under the image's name.
    @available(*, noasync)
    public func receive(from uri: String?) throws(ImageError) {
        guard let uri else {
            // Standard output is the image's, or the source's.
            let answers = path == "-" ? nil : StandardStreams.answers()
            return try receive(from: StandardStreams.input(), answers: answers)
        }
        let transport: IncomingTransport
        do throws(TransportError) {
            transport = try IncomingTransport(
                address: MigrationAddress(uri: uri),
                resources: TransportResources()
            )
        } catch {
            throw ImageError(error)
        }
        defer { transport.close() }
        let source = try RelaySource(transport)
        try receive(from: source, answers: source.channel.isBidirectional ? source.channel : nil)
    }

    /// Receives from `source` and returns when the image is complete and durable.
    ///
    /// - Parameter answers: where answers to the source go, if it can hear any.
    /// - Throws: `ImageError`; nothing is left under the image's name.
    @available(*, noasync)
    public func receive(from source: Channel, answers: Channel?) throws(ImageError) {
        try receive(from: RelaySource(source), answers: answers)
    }

    private func receive(from source: RelaySource, answers: Channel?) throws(ImageError) {
        if path == "-" {
            guard format == .sequential else {
                throw ImageError(
                    "cannot write a mapped-ram image to standard output, which can't seek",
                    hint: "name a file, or use --format sequential"
                )
            }
            try relay(source, answers, to: StandardStreams.output(), commit: nil)
            return
        }
        let file = try ImageFile(creating: path)
        defer { file.discard() }
        try requireSeekable(file)
        try relay(source, answers, to: file.channel, commit: file)
    }

    /// Says it before anything is read: a whole migration would be lost for it.
    private func requireSeekable(_ file: ImageFile) throws(ImageError) {
        guard format == .mappedRAM, !file.channel.isSeekable else { return }
        throw ImageError(
            "cannot write a mapped-ram image to '\(path)', which can't be written at an offset",
            hint: "name a regular file or block device, or use --format sequential"
        )
    }

    private func relay(
        _ source: RelaySource,
        _ answers: Channel?,
        to target: Channel,
        commit file: ImageFile?
    ) throws(ImageError) {
        let relay = StreamRelay(from: source, to: target, as: format)
        relay.answers = answers
        relay.progress = progress
        try relay.run { () throws(ImageError) in try file?.commit() }
    }
}
