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
    /// The file with `xml`, which the output can't take the place of; nil if it is from no file.
    public var xmlPath: String?
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
        // Before anything is read; the output itself asks again.
        try ImageFile.requireOther(output, than: inputs)
        if case .with(let algorithm) = integrity { try format.requireSealable(algorithm) }
        guard input != "-" else {
            let source = RelaySource(try StandardStreams.input())
            try source.requireBareStream()
            return try convert(source, of: nil, sealed: nil)
        }
        let image = try GuestImage(opening: input)
        let stream = try image.openStream()
        let algorithm = try image.checkSeal(checksSeal, progress)
        try convert(RelaySource(stream), of: image, sealed: algorithm)
    }

    private func convert(
        _ source: RelaySource,
        of image: GuestImage?,
        sealed: IntegrityAlgorithm?
    ) throws(ImageError) {
        let definition = try xml.map { xml throws(ImageError) in
            try DomainXML.definition(in: xml)
        }
        let target: ImageTarget?
        let channel: Channel
        if output == "-" {
            try format.requireStandardOutput()
            (target, channel) = (nil, try StandardStreams.output())
        } else {
            let file = try ImageTarget(
                creating: output,
                from: inputs,
                as: format,
                domain: domain(image?.libvirt),
                wasRunning: runsAfterRestore ?? image?.libvirt?.header.wasRunning
            )
            (target, channel) = (file, file.stream)
        }
        defer { target?.discard() }
        let relay = StreamRelay(
            from: source,
            to: channel,
            as: format.layout,
            integrity: algorithm(sealed, target),
            behind: try target?.writeBehind()
        )
        relay.progress = progress
        relay.definition = definition
        try relay.run { received throws(ImageError) in
            try source.finish()
            if checksSeal, sealed == nil {
                try image?.requireNoCutOffSeal(behind: received.places.end)
            }
            try target?.commit(
                leavesGuestRunning: received.deviceState.leavesGuestRunning
            )
        }
    }

    /// How the output's pages are summed up.
    private func algorithm(
        _ sealed: IntegrityAlgorithm?,
        _ target: ImageTarget?
    ) -> IntegrityAlgorithm? {
        guard let target else { return nil }
        return switch integrity {
        case .none: nil
        case .with(let algorithm): algorithm
        case .asInput: target.stream.objectKind == .regularFile ? sealed : nil
        }
    }

    private func domain(_ libvirt: LibvirtSave?) -> LibvirtDomain? {
        let cookie = libvirt?.cookie
        if let xml { return LibvirtDomain(xml: xml, cookie: cookie) }
        guard let libvirt, !libvirt.xml.isEmpty else { return nil }
        return LibvirtDomain(xml: libvirt.xml, cookie: cookie)
    }

    private var inputs: [String] { [input] + (xmlPath.map { [$0] } ?? []) }
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
