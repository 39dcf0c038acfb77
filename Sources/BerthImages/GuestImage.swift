public import BerthStream
import BerthSystem
public import BerthTransport
import Glibc

/// A saved guest in a file: a stream in either layout, bare, compressed, or behind libvirt's header.
///
/// Function: opening one looks at the beginning of the file only. `read` goes through the stream
/// once, in its order; `pages` gives any page at any time. What the file is, is found by its
/// content, never by its name.
///
/// Odd cases: a file that is no image opens, so that somebody can say what it is; `read` then throws.
public final class GuestImage {
    /// The file's name.
    public let path: String
    /// What the file's first bytes are.
    public let content: ImageContent
    /// What stands before the stream in a libvirt save file; nil in other files.
    public let libvirt: LibvirtSave?
    /// How the stream is compressed, as its own first bytes say; nil if it isn't.
    public let compression: Compression?
    /// Whether the compressed form has a checksum; false if the stream isn't compressed.
    public let hasChecksum: Bool
    /// Where in the file the stream, or its compressed form, begins.
    public let streamOffset: UInt64

    /// What the bytes at `streamOffset` are.
    let payload: ImageContent

    /// Opens a file or block device and looks at what it is.
    ///
    /// - Throws: `ImageError` if it can't be opened or read.
    @available(*, noasync)
    public init(opening path: String) throws(ImageError) {
        self.path = path
        let file = try Self.open(path)
        content = ImageContent(
            firstBytes: try file.readBytes(at: 0, byteCount: ImageContent.byteCount)
        )
        if content == .libvirt, try file.readBytes(at: 0, byteCount: 92).count == 92 {
            let libvirt = try LibvirtSave(reading: file)
            self.libvirt = libvirt
            streamOffset = libvirt.streamOffset
        } else {
            libvirt = nil
            streamOffset = 0
        }
        let first = try file.readBytes(at: streamOffset, byteCount: ImageContent.byteCount)
        payload = ImageContent(firstBytes: first)
        if case .compressedStream(let compression) = payload {
            self.compression = compression
            hasChecksum = compression.hasChecksum(firstBytes: first)
        } else {
            compression = nil
            hasChecksum = false
        }
    }

    /// Opens the file itself, for reading.
    /// - Throws: `ImageError`.
    @available(*, noasync)
    public func openFile() throws(ImageError) -> Channel {
        try Self.open(path)
    }

    /// Bytes in the file, holes included; 0 if it is gone.
    public var fileByteCount: UInt64 {
        guard let file = try? Self.open(path) else { return 0 }
        return file.byteCount ?? 0
    }

    /// Bytes that the file takes of its file system; 0 for a block device.
    public var allocatedByteCount: UInt64 {
        (try? FileStatus(path: path).allocatedByteCount) ?? 0
    }

    /// Goes through the stream once and returns when all of it has been read.
    ///
    /// A compressed one is read to the end of its compressed form, so that its checksum is checked.
    ///
    /// - Parameter receiver: judges the parts and takes the pages.
    /// - Returns: what the stream holds besides pages, and what follows it.
    /// - Throws: `ImageError`; its offset counts from the start of the file, or of the stream if that
    ///   is compressed.
    @available(*, noasync)
    public func read(_ receiver: any StreamReceiver) throws(ImageError) -> ImageReading {
        try read(receiver, to: nil)
    }

    /// The same of a stream of which is known where it ends.
    @available(*, noasync)
    func read(
        _ receiver: any StreamReceiver,
        to knownEnd: UInt64?
    ) throws(ImageError) -> ImageReading {
        let channel = try openStream()
        let start = channel.position ?? 0
        let end = knownEnd ?? Seal.streamEnd(in: channel, from: start)
        let input = StreamInput(channel, position: start, end: end)
        let received: ReceivedStream
        do {
            received = try StreamReader(input, receiver: receiver).read()
        } catch {
            throw input.failureOfProgram(insteadOf: error)
                ?? ImageError(error, during: "reading '\(path)'")
        }
        let trailing = try finish(channel, input)
        return ImageReading(
            received: received,
            trailing: end == input.position ? nil : trailing
        )
    }

    /// Opens the stream, from its first byte on.
    ///
    /// - Throws: `ImageError` that says what the file is instead of an image.
    @available(*, noasync)
    func openStream() throws(ImageError) -> Channel {
        guard hasStream else { throw notAnImage }
        let file = try Self.open(path)
        if let compression, !compression.isInstalled {
            throw ImageError.missing(compression.rawValue, for: path)
        }
        do throws(TransportError) {
            try file.seek(to: streamOffset)
            guard let compression else { return file }
            return try compression.decompressed(file, name: path)
        } catch {
            throw ImageError(error)
        }
    }

    /// Whether there may be a stream.
    var hasStream: Bool {
        switch payload {
        case .stream, .cutOff, .compressedStream: true
        default: false
        }
    }

    /// What the file is instead of an image.
    var notAnImage: ImageError {
        let what =
            switch payload {
            case .empty: content == .libvirt ? "ends where its stream should begin" : "is empty"
            case .foreign(let name): "is \(name), not a saved guest of QEMU"
            case .libvirt where libvirt == nil: "ends inside libvirt's header"
            case .libvirt: "has a libvirt save file inside a libvirt save file"
            default:
                content == .libvirt
                    ? "has no migration stream behind libvirt's header" : "is no saved guest"
            }
        return ImageError(
            "'\(path)' \(what)",
            hint: "'berth inspect' says what is known of a file",
            offset: streamOffset
        )
    }

    /// Reads what follows the stream.
    private func finish(
        _ channel: Channel,
        _ input: StreamInput
    ) throws(ImageError) -> Range<UInt64>? {
        let end = input.position
        if channel.isSeekable {
            let fileEnd = channel.objectKind == .blockDevice ? end : channel.byteCount ?? end
            return fileEnd > end ? end..<fileEnd : nil
        }
        try input.readToEnd()
        return input.position > end ? end..<input.position : nil
    }

    private static func open(_ path: String) throws(ImageError) -> Channel {
        do {
            // A FIFO without a writer is an error, not a hang.
            let flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC
            let file = try Channel(OwnedDescriptor.open(path, flags), name: path)
            guard file.isSeekable else {
                throw ImageError(
                    "cannot open '\(path)' as an image: it can't be read at an offset",
                    hint: "name a regular file or block device"
                )
            }
            return file
        } catch let error as TransportError {
            throw ImageError(error)
        } catch let error as ImageError {
            throw error
        } catch {
            throw ImageError("\(error)")
        }
    }
}

/// An image that was read to its end, without its pages.
public struct ImageReading: Sendable {
    /// Configuration, blocks and device state.
    public var received: ReceivedStream
    /// Bytes behind the stream; nil if there are none.
    ///
    /// In the file or, if that is compressed, in the stream. A block device's aren't counted.
    public var trailing: Range<UInt64>?
}

extension StreamInput {
    /// Reads and drops all that a pipe still gives, and closes it.
    ///
    /// A program at its other end ends only then, and only then has it checked all it had to check.
    /// - Throws: `ImageError` if the program failed.
    @available(*, noasync)
    func readToEnd() throws(ImageError) {
        do throws(StreamError) {
            while try fetch(1) {
                consume(available)
            }
        } catch {
            throw ImageError(error, during: "reading '\(channel.name)'")
        }
        do {
            try channel.close()
        } catch {
            throw ImageError(error)
        }
    }

    /// What the program at the pipe's other end failed with, if it did.
    ///
    /// What else is wrong with the stream is then a consequence, however early: a program can give
    /// all it has, and find only at its end that it isn't what it was.
    @available(*, noasync)
    func failureOfProgram(insteadOf error: StreamError) -> ImageError? {
        // Not where nothing is wrong with what came: what is left of it can be long.
        guard channel.isFiltered,
            [.truncated, .malformed, .mismatch, .limitExceeded].contains(error.code)
        else { return nil }
        do throws(ImageError) {
            try readToEnd()
            return nil
        } catch {
            return error.programFailure == nil ? nil : error
        }
    }
}
