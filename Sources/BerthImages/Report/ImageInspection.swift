public import BerthStream
import BerthTransport
import BerthWire

/// All that is known of a file after one look through it.
///
/// Overview: what the file is, is found by its first bytes; then the stream is gone through once, and
/// its pages are counted, not kept. Pages of a mapped-ram image aren't read at all.
///
/// Odd cases: a damaged image gives what was found before the damage, and `problem`. A file that is
/// known to be something else has no `problem`: that is all there is to say.
public final class ImageInspection {
    /// The file.
    public let image: GuestImage
    /// The configuration and the fates of pages, as far as the stream could be read.
    public let census = PageCensus()
    /// What the stream has besides its pages; nil if it could not be read to its end.
    public private(set) var reading: ImageReading?
    /// The digests behind the stream.
    public private(set) var seal: Seal?
    /// Where digests begin whose end is missing; nil if there are none.
    public private(set) var cutOffSeal: UInt64?
    /// Why the image could not be read to its end.
    public private(set) var problem: ImageError?
    /// The device sections with their fields.
    public private(set) lazy var devices = reading?.received.deviceState.decoded() ?? []

    /// Looks through a file.
    ///
    /// - Parameter path: of a regular file or block device.
    /// - Throws: `ImageError` if it can't be opened.
    @available(*, noasync)
    public init(of path: String) throws(ImageError) {
        image = try GuestImage(opening: path)
        if case .foreign = image.content {
            return
        }
        do throws(ImageError) {
            reading = try image.read(census)
        } catch {
            // Who asks for an inspection needs no hint to ask for one.
            let isKnown = image.content != .unknown && image.content != .empty
            problem = isKnown ? error : ImageError(error.description, offset: error.offset)
        }
        guard image.compression == nil, let reading else {
            return
        }
        do throws(StreamError) {
            seal = try Seal.find(in: try image.openFileForSeal())
        } catch {
            problem = ImageError(error, during: "reading '\(path)'")
            return
        }
        if seal == nil {
            cutOffSeal = try image.cutOffSeal(behind: reading.received.places.end)
        }
    }

    /// Bytes behind the stream that neither a seal nor anything else accounts for.
    public var trailingByteCount: UInt64 {
        guard let reading, let trailing = reading.trailing, cutOffSeal == nil else {
            return 0
        }
        let isSealed = seal?.header.streamEnd == reading.received.places.end
        return isSealed ? 0 : UInt64(trailing.count)
    }
}

extension GuestImage {
    /// Opens the file for who reports failures of a stream.
    @available(*, noasync)
    fileprivate func openFileForSeal() throws(StreamError) -> Channel {
        do throws(ImageError) {
            return try openFile()
        } catch {
            throw StreamError(.transport, error.description, hint: error.hint)
        }
    }
}
