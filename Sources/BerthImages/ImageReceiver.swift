public import BerthStream
public import BerthTransport
public import BerthWire

/// `berth receive`: takes an outgoing migration of any QEMU and keeps it as an image.
public struct ImageReceiver {
    /// The image to write; `-` is standard output, for sequential images.
    public var path: String
    /// The form to write.
    public var format: ImageFormat
    /// The domain, for libvirt's formats.
    public var domain: LibvirtDomain?
    /// Files that the image is made from, which it can't take the place of: the XML's.
    public var inputs: [String] = []
    /// How pages are summed up for a seal behind the image; nil for none.
    public var integrity: IntegrityAlgorithm?
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
            let source = RelaySource(try StandardStreams.input())
            try source.requireBareStream()
            return try receive(from: source, answers: answers)
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
            try format.requireStandardOutput()
            try relay(source, answers, to: StandardStreams.output(), commit: nil)
            return
        }
        try format.requireSealable(integrity)
        let definition = try domain.map { domain throws(ImageError) in
            try DomainXML.definition(in: domain.xml)
        }
        let image = try ImageTarget(
            creating: path,
            from: inputs,
            as: format,
            domain: domain,
            wasRunning: nil
        )
        defer { image.discard() }
        try relay(source, answers, to: image.stream, commit: image, definition)
    }

    private func relay(
        _ source: RelaySource,
        _ answers: Channel?,
        to target: Channel,
        commit image: ImageTarget?,
        _ definition: DomainDefinition? = nil
    ) throws(ImageError) {
        let relay = StreamRelay(from: source, to: target, as: format.layout, integrity: integrity)
        relay.answers = answers
        relay.definition = definition
        relay.progress = progress
        try relay.run { received throws(ImageError) in
            try image?.commit(
                leavesGuestRunning: received.deviceState.leavesGuestRunning
            )
        }
    }
}
