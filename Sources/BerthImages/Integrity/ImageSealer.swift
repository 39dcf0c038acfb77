import BerthMemory
public import BerthStream
import BerthSystem
import BerthTransport
public import BerthWire
import Glibc

/// `berth seal`: digests of an existing image's pages, behind its stream.
///
/// Function: the image is changed in place, behind its last byte only. It is checked first; one that
/// isn't whole isn't sealed, for its seal would say that it is. Should the work end before its end,
/// the image is as it was, or has the beginning of a seal that nothing takes for one.
public struct ImageSealer {
    /// The image.
    public var path: String
    /// Whether to seal an image that doesn't agree with its present seal, or has bytes behind its
    /// stream, which go.
    public var isForced = false
    /// Called now and then with the progress.
    public var progress: ((StreamProgress) -> Void)?

    /// Describes the work.
    public init(path: String) {
        self.path = path
    }

    /// Seals the image, in the place of a seal that it has.
    ///
    /// - Throws: `ImageError`; the image is then as it was, or has no seal any more.
    @available(*, noasync)
    public func seal(_ algorithm: IntegrityAlgorithm) throws(ImageError) {
        let image = try sealableImage()
        if !isForced { try requireWhole(image) }
        let census = PageCensus()
        let received = try image.read(census).received
        let file = try openForWriting(image)
        let sealer: StreamSealer
        do {
            sealer = try StreamSealer(
                file,
                algorithm,
                sealing: received,
                from: image.streamOffset,
                maps: census.blocks.compactMap { block in
                    block.pagesOffset.map { (pagesOffset: $0, present: block.data) }
                }
            )
        } catch {
            try? file.resize(to: received.places.end)
            throw ImageError(error, during: "sealing '\(path)'")
        }
        do throws(ImageError) {
            let isWhole = try put(sealer, image)
            guard isWhole else {
                // Pages that came as changes have to be put together first.
                sealer.giveUp()
                return try sealPutTogether(algorithm, image, received)
            }
        } catch {
            sealer.giveUp()
            throw error
        }
    }

    /// Removes the seal, or what there is of one that was cut off.
    ///
    /// - Throws: `ImageError`, also if the image isn't sealed.
    @available(*, noasync)
    public func remove() throws(ImageError) {
        let image = try GuestImage(opening: path)
        let file = try openForWriting(image)
        let end: UInt64
        if let known = Seal.streamEnd(in: file, from: image.streamOffset) {
            end = known
        } else {
            // Without an end mark only the stream itself tells where it ends.
            let reading = try image.read(PageCensus())
            end = reading.received.places.end
            guard try image.cutOffSeal(behind: end) != nil else {
                throw ImageError("'\(path)' isn't sealed")
            }
        }
        do throws(TransportError) {
            try file.resize(to: end)
            try file.synchronize()
        } catch {
            throw ImageError(error)
        }
    }

    private func sealableImage() throws(ImageError) -> GuestImage {
        let image = try GuestImage(opening: path)
        guard image.hasStream else { throw image.notAnImage }
        if let compression = image.compression {
            throw ImageError(
                "'\(path)' can't be sealed: it is compressed",
                hint: image.hasChecksum
                    ? "it has \(compression.rawValue)'s own checksum, which 'berth verify' checks"
                    : "'berth convert' makes an image of it that can be sealed"
            )
        }
        let kind = try image.openFile().objectKind
        guard kind == .regularFile else {
            throw ImageError(
                "'\(path)' can't be sealed: it is a \(kind.rawValue)",
                hint: "a seal is found by the end of the file; only regular files have one"
            )
        }
        return image
    }

    /// Refuses an image with faults, those of its seal included.
    private func requireWhole(_ image: GuestImage) throws(ImageError) {
        let report = try ImageVerifier(path: path).verify()
        guard let fault = report.faults.first else { return }
        let more = report.faults.count > 1 ? " (and \(report.faults.count - 1) more)" : ""
        throw ImageError(
            "'\(path)' isn't whole, and a seal would say that it is: \(fault.what)\(more)",
            hint: "'berth verify' lists what is wrong"
                + (report.received == nil ? "" : "; --force seals what can be read"),
            offset: fault.offset
        )
    }

    private func openForWriting(_ image: GuestImage) throws(ImageError) -> Channel {
        do {
            let descriptor = try OwnedDescriptor.open(path, O_RDWR | O_CLOEXEC)
            return try Channel(descriptor, name: path)
        } catch let error as TransportError {
            throw ImageError(error)
        } catch {
            throw ImageError("\(error)", hint: "a seal is put into the image itself")
        }
    }

    /// Reads the pages into the seal.
    ///
    /// - Returns: false if some came as changes, of which no digest can be made; there is no seal
    ///   then.
    private func put(_ sealer: StreamSealer, _ image: GuestImage) throws(ImageError) -> Bool {
        let receiver = SealingReceiver(sealer, progress)
        // Behind the stream lies the unfinished seal: the reader must not look for an end there.
        _ = try image.read(receiver, to: sealer.streamEnd)
        guard !sealer.sawDelta else { return false }
        do {
            try sealer.finish()
        } catch {
            throw ImageError(error, during: "sealing '\(path)'")
        }
        return true
    }

    private func sealPutTogether(
        _ algorithm: IntegrityAlgorithm,
        _ image: GuestImage,
        _ received: ReceivedStream
    ) throws(ImageError) {
        let pages = try image.pages()
        do {
            let sealer = try StreamSealer(
                try openForWriting(image),
                algorithm,
                sealing: received,
                from: image.streamOffset,
                maps: []
            )
            do {
                try pages.feed(sealer)
                try sealer.finish()
            } catch {
                sealer.giveUp()
                throw error
            }
        } catch let error as StreamError {
            throw ImageError(error, during: "sealing '\(path)'")
        } catch let error as ImageError {
            throw error
        } catch {
            throw ImageError("\(error)")
        }
    }
}

/// Has a sealer take the pages of a stream that was judged before.
private final class SealingReceiver: StreamReceiver {
    private let sealer: StreamSealer
    private let onProgress: ((StreamProgress) -> Void)?

    init(_ sealer: StreamSealer, _ onProgress: ((StreamProgress) -> Void)?) {
        self.sealer = sealer
        self.onProgress = onProgress
    }

    func accept(_ configuration: ConfigurationSection) throws(StreamError) {}

    func accept(
        _ blocks: [StreamBlock],
        ramSectionID: UInt32
    ) throws(StreamError) -> any PageSink {
        guard blocks == sealer.blocks else {
            throw StreamError(.mismatch, "the image was changed while it was read")
        }
        return sealer
    }

    func accept(section: SectionHeader.Identity) throws(StreamError) {}

    func kept(earlySections: [UInt8]) throws(StreamError) {}

    func answer(_ message: ReturnPathMessage) throws(StreamError) {}

    func progressed(_ progress: StreamProgress) throws(StreamError) { onProgress?(progress) }
}
