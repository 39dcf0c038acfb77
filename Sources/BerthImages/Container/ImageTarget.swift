import BerthStream
import BerthSystem
import BerthTransport
import BerthWire

/// An image being written: its file, what its container puts before the stream, and the stream.
///
/// Until `commit` nothing has the image's name, and a libvirt header says that the file is partial.
final class ImageTarget {
    /// Takes the stream, from where it stands.
    let stream: Channel

    private let file: ImageFile
    private let path: String
    private var libvirt: LibvirtSave?
    /// Whether the guest is to run after a restore; nil as the stream's run state says.
    private let wasRunning: Bool?

    /// Creates the file and writes what comes before the stream.
    ///
    /// - Parameters:
    ///   - inputs: files that the image is made from; see `ImageFile`.
    ///   - domain: the domain's XML and libvirt's cookie, for libvirt's formats.
    ///   - wasRunning: for libvirt's formats; nil leaves it to the stream's run state.
    /// - Throws: `ImageError` if something is missing, or the file can't be written as it must be.
    @available(*, noasync)
    init(
        creating path: String,
        from inputs: [String],
        as format: ImageFormat,
        domain: LibvirtDomain?,
        wasRunning: Bool?
    ) throws(ImageError) {
        self.path = path
        self.wasRunning = wasRunning
        libvirt = try Self.libvirt(format, domain)
        let file = try ImageFile(creating: path, from: inputs)
        self.file = file
        do throws(ImageError) {
            // Said before anything is read: a whole migration would be lost for it.
            guard file.channel.isSeekable || (format.layout == .sequential && libvirt == nil) else {
                throw ImageError(
                    "cannot write an image as \(format.rawValue) to '\(path)', which can't be "
                        + "written at an offset",
                    hint: "name a regular file or block device, or use --format sequential"
                )
            }
            if let libvirt {
                try file.channel.writeBytes(libvirt.encoded(isPartial: true), at: 0)
                try Self.seek(file.channel, to: libvirt.streamOffset)
            }
            stream = try Self.stream(into: file.channel, format.libvirt?.compression)
        } catch {
            file.discard()
            throw error
        }
    }

    private static func libvirt(
        _ format: ImageFormat,
        _ domain: LibvirtDomain?
    ) throws(ImageError) -> LibvirtSave? {
        guard let number = format.libvirt else { return nil }
        guard let domain else {
            throw ImageError(
                "a libvirt save file needs the domain's XML, which the stream doesn't have",
                hint: "give it with --xml FILE, as 'virsh dumpxml --migratable' prints it"
            )
        }
        return try LibvirtSave(
            xml: domain.xml,
            cookie: domain.cookie,
            format: number,
            wasRunning: true
        )
    }

    private static func stream(
        into file: Channel,
        _ compression: Compression?
    ) throws(ImageError) -> Channel {
        guard let compression else { return file }
        do throws(TransportError) {
            return try compression.compressed(into: file, name: file.name)
        } catch {
            throw ImageError(error)
        }
    }

    private static func seek(_ file: Channel, to offset: UInt64) throws(ImageError) {
        do {
            try file.seek(to: offset)
        } catch {
            throw ImageError(error)
        }
    }

    /// What writes a stream whose pages come once: it is made durable at the end anyway.
    ///
    /// - Returns: nil where the stream goes through a program.
    /// - Throws: `ImageError` if the system has no thread left.
    func writeBehind() throws(ImageError) -> WriteBehind? {
        guard stream.isSeekable else { return nil }
        do {
            return try WriteBehind(to: stream)
        } catch {
            throw ImageError(error, during: "writing '\(path)'")
        }
    }

    /// Ends the stream, marks the image as whole, makes it durable and gives it its name.
    ///
    /// - Parameter leavesGuestRunning: whether the stream says that the guest is to run.
    /// - Throws: `ImageError`; the image then doesn't exist under its name.
    @available(*, noasync)
    func commit(leavesGuestRunning: Bool) throws(ImageError) {
        do throws(TransportError) {
            if stream !== file.channel {
                try stream.close()
            }
            if var libvirt {
                // On the disk before the mark that says so.
                try file.channel.synchronize()
                libvirt.header.wasRunning = wasRunning ?? leavesGuestRunning
                do throws(ImageError) {
                    try file.channel.writeBytes(libvirt.header.encoded, at: 0)
                } catch {
                    throw TransportError("write to", path, reason: error.description)
                }
            }
        } catch {
            throw ImageError(error)
        }
        try file.commit()
    }

    /// Removes what was written, unless `commit` succeeded.
    @available(*, noasync)
    func discard() {
        file.discard()
    }
}

/// What a libvirt save file says of its domain.
public struct LibvirtDomain: Sendable, Equatable {
    /// The definition, as `virsh dumpxml --migratable` prints it.
    public var xml: [UInt8]
    /// libvirt's notes beside it.
    public var cookie: [UInt8]?

    /// Describes a domain; see the members.
    public init(xml: [UInt8], cookie: [UInt8]? = nil) {
        self.xml = xml
        self.cookie = cookie
    }
}

extension DeviceState {
    /// Whether a destination would let the guest run; one that wasn't told does.
    var leavesGuestRunning: Bool {
        guard let state = globalState else { return true }
        return state.runState == "running"
    }
}
