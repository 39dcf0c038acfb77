import BerthMemory
public import BerthStream
import BerthTransport
import BerthWire

/// `berth verify`: whether an image is whole, without loading it.
///
/// Function: every fault that can be told from the others is reported, each with its place and what
/// it means for a restore. The structure is always checked; the content if the image is sealed or
/// compressed. Memory doesn't depend on the image's size, but for some bits a page.
public struct ImageVerifier {
    /// The image.
    public var path: String
    /// Whether to leave the pages of a sealed image unread.
    public var checksStructureOnly = false
    /// Called now and then with the progress.
    public var progress: ((StreamProgress) -> Void)?

    /// Describes a check.
    public init(path: String) {
        self.path = path
    }

    /// What a stream that breaks off or makes no sense means.
    static let refused = "QEMU refuses to load it"
    static let notLoaded = "there is nothing that QEMU could load"

    /// Checks the image.
    ///
    /// - Throws: `ImageError` if the file can't be read at all; what is wrong with its content is in
    ///   the report.
    @available(*, noasync)
    public func verify() throws(ImageError) -> VerificationReport {
        let image = try GuestImage(opening: path)
        var report = VerificationReport()
        report.compression = image.compression
        guard checkContent(of: image, &report) else { return report }
        if image.libvirt != nil {
            checkLibvirt(image, try image.openFile(), &report)
        }
        let seal = image.compression == nil ? try findSeal(of: image, &report) : nil
        let receiver = VerifyingReceiver(seal, comparesPages: !checksStructureOnly)
        receiver.onProgress = progress
        guard let reading = read(image, receiver, &report) else { return report }
        report.received = reading.received
        report.kind = Self.kind(of: image, reading.received)
        if let compression = image.compression {
            report.contentCheck =
                image.hasChecksum
                ? .compressed(compression) : .compressedWithoutChecksum(compression)
        }
        try checkMaps(image, reading.received, receiver.census, &report)
        checkDevices(reading.received, &report)
        checkDomain(image, reading.received, &report)
        try checkTrailing(image, reading, &report)
        if let seal {
            try check(image, reading.received, receiver, against: seal, &report)
        }
        return report
    }

    /// What the file is.
    private static func kind(of image: GuestImage, _ received: ReceivedStream) -> String {
        if let format = image.libvirt?.format { return "libvirt save file, \(format)" }
        let isMapped = received.configuration.capabilities.contains("mapped-ram")
        let stream = isMapped ? "mapped-ram stream" : "sequential stream"
        return image.compression.map { "\(stream), compressed by \($0.rawValue)" } ?? stream
    }

    /// Whether there is a stream to look at.
    private func checkContent(of image: GuestImage, _ report: inout VerificationReport) -> Bool {
        switch image.content {
        case .stream, .compressedStream:
            return true
        case .libvirt where image.libvirt != nil:
            return true
        case .libvirt:
            report.add(at: image.fileByteCount, "libvirt's header is cut off", Self.notLoaded)
        case .cutOff:
            report.add(
                at: image.streamOffset,
                "the stream's header is missing: the save was cut off before its end",
                "no page can be trusted; \(Self.refused)"
            )
        case .foreign(let name):
            report.add(at: 0, "this is \(name), not a saved guest of QEMU", Self.notLoaded)
        case .unknown:
            report.add(at: 0, "this is no saved guest", Self.notLoaded)
        case .empty:
            report.add(at: 0, "the file is empty", Self.notLoaded)
        }
        return false
    }

    /// Reads the stream; what is wrong with it goes to the report.
    private func read(
        _ image: GuestImage,
        _ receiver: VerifyingReceiver,
        _ report: inout VerificationReport
    ) -> ImageReading? {
        do throws(ImageError) {
            return try image.read(receiver)
        } catch {
            if let program = error.missingProgram {
                report.obstacle = "\(program) is missing; install it"
                return nil
            }
            if let failure = error.programFailure {
                report.add(
                    at: nil,
                    failure,
                    "the compressed form was damaged, cut off or added to"
                )
                return nil
            }
            guard let cause = error.cause else {
                report.add(at: error.offset, error.description, "the rest can't be read")
                return nil
            }
            let meaning =
                switch cause.code {
                case .unsupported: "Berth can't judge the rest"
                case .limitExceeded: "Berth doesn't look further, QEMU may load it"
                case .truncated: "the image isn't whole, \(Self.refused)"
                case .transport: "the rest can't be read"
                default: "\(Self.refused), or loads something else than was saved"
                }
            report.add(at: cause.offset, cause.message, meaning)
            return nil
        }
    }

    /// Bytes behind the stream that aren't its seal.
    private func checkTrailing(
        _ image: GuestImage,
        _ reading: ImageReading,
        _ report: inout VerificationReport
    ) throws(ImageError) {
        guard let trailing = reading.trailing else { return }
        if let place = try image.cutOffSeal(behind: trailing.lowerBound) {
            guard !report.hasBadSeal else { return }
            report.add(
                at: place,
                "the image's seal is cut off",
                "the guest can be restored, its content can't be checked; "
                    + "'berth seal' with --force makes a new seal"
            )
            return
        }
        report.add(
            at: trailing.lowerBound,
            "\(trailing.count) bytes follow the end of the stream",
            "QEMU doesn't look at them; the file was longer before, or something was appended"
        )
    }
}

extension VerificationReport {
    /// Adds a fault.
    mutating func add(at offset: UInt64?, _ what: String, _ meaning: String) {
        let isUnpacked = compression != nil && !isBeforeStream
        faults.append(Fault(at: offset, isUnpacked: isUnpacked, what, meaning))
    }

    /// Adds something odd.
    mutating func remark(at offset: UInt64?, _ what: String, _ meaning: String) {
        let isUnpacked = compression != nil && !isBeforeStream
        remarks.append(Fault(at: offset, isUnpacked: isUnpacked, what, meaning))
    }
}
