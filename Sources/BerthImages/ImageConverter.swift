public import BerthStream
import BerthSystem
import BerthTransport
public import BerthWire

/// `berth convert`: any image in any form to an image in another.
///
/// Function: the stream goes through once, at constant memory; pages without content and holes stay
/// such. The new image gets its name when it is complete and on the disk. What a libvirt save file
/// says of its domain goes with it.
public struct ImageConverter {
    /// The image to read; `-` is standard input, for bare streams.
    public var input: String
    /// The image to write; `-` is standard output, for sequential streams.
    public var output: String
    /// The form to write.
    public var format: ImageFormat
    /// The domain's XML, in the place of what the input has.
    public var xml: [UInt8]?
    /// Whether a guest restored by libvirt is to run; nil leaves it as it was.
    public var runsAfterRestore: Bool?
    /// Whether the output is sealed.
    public var integrity = SealChoice.asInput
    /// Whether a sealed input is compared with its seal first.
    public var checksSeal = true
    /// Called now and then with the progress.
    public var progress: ((StreamProgress) -> Void)?

    /// Describes a conversion.
    public init(input: String, output: String, format: ImageFormat) {
        self.input = input
        self.output = output
        self.format = format
    }

    /// Converts the image and returns when the new one is complete and durable.
    ///
    /// - Throws: `ImageError`; there is nothing then under the new image's name that wasn't before.
    @available(*, noasync)
    public func convert() throws(ImageError) {
        try checkNames()
        if case .with(let algorithm) = integrity { try format.requireSealable(algorithm) }
        guard input != "-" else {
            return try convert(RelaySource(StandardStreams.input()), of: nil, sealed: nil)
        }
        let image = try GuestImage(opening: input)
        let stream = try image.openStream()
        let algorithm = try image.checkSeal(checksSeal, progress)
        try convert(RelaySource(stream), of: image.libvirt, sealed: algorithm)
    }

    private func convert(
        _ source: RelaySource,
        of libvirt: LibvirtSave?,
        sealed: IntegrityAlgorithm?
    ) throws(ImageError) {
        if output == "-" {
            try format.requireStandardOutput()
            return try relay(source, to: StandardStreams.output(), commit: nil, nil)
        }
        let target = try ImageTarget(
            creating: output,
            as: format,
            domain: domain(libvirt),
            wasRunning: runsAfterRestore ?? libvirt?.header.wasRunning
        )
        defer { target.discard() }
        let algorithm: IntegrityAlgorithm? =
            switch integrity {
            case .none: nil
            case .with(let algorithm): algorithm
            case .asInput: target.stream.objectKind == .regularFile ? sealed : nil
            }
        try relay(source, to: target.stream, commit: target, algorithm)
    }

    private func relay(
        _ source: RelaySource,
        to target: Channel,
        commit image: ImageTarget?,
        _ integrity: IntegrityAlgorithm?
    ) throws(ImageError) {
        let relay = StreamRelay(
            from: source,
            to: target,
            as: format.layout,
            integrity: integrity,
            behind: try image?.writeBehind()
        )
        relay.progress = progress
        try relay.run { received throws(ImageError) in
            // What decompresses has checked all it checks only at its end.
            if source.channel.isCommand { try source.input.readToEnd() }
            try image?.commit(
                leavesGuestRunning: received.deviceState.leavesGuestRunning
            )
        }
    }

    private func domain(_ libvirt: LibvirtSave?) -> LibvirtDomain? {
        let cookie = libvirt?.cookie
        if let xml { return LibvirtDomain(xml: xml, cookie: cookie) }
        guard let libvirt, !libvirt.xml.isEmpty else { return nil }
        return LibvirtDomain(xml: libvirt.xml, cookie: cookie)
    }

    /// An image is never converted in place: what isn't complete yet would take the place of what is.
    private func checkNames() throws(ImageError) {
        guard input != "-", output != "-", let from = try? FileStatus(path: input),
            let to = try? FileStatus(path: output),
            from.device == to.device, from.inode == to.inode
        else { return }
        throw ImageError(
            "cannot convert '\(input)' to '\(output)', which is the same file",
            hint: "give the new image another name"
        )
    }
}

/// Whether an image that is written is sealed.
public enum SealChoice: Sendable, Equatable {
    /// It isn't.
    case none
    /// It is if the one it comes from is, in the same way, and can be.
    case asInput
    /// It is.
    case with(IntegrityAlgorithm)
}
