import BerthTransport
public import BerthWire

/// What stands before the stream in a libvirt save file: header, domain XML and cookie.
///
/// Read as far as it goes: whether it is as libvirt wants it is `ImageVerifier`'s to say.
public struct LibvirtSave: Sendable, Equatable {
    /// The first 92 bytes.
    public var header: LibvirtSaveHeader
    /// The domain's definition, without its NUL; empty if there is none.
    public var xml: [UInt8]
    /// libvirt's notes beside it, without their NUL.
    public var cookie: [UInt8]?

    /// Room that libvirt leaves for a definition that grows.
    private static let roomByteCount = 64 << 10
    /// The most that is read of a definition; libvirt's own limit for one is 4 MiB.
    private static let textByteLimit = 16 << 20

    /// Describes a complete file, with room for the XML to grow as libvirt leaves it.
    ///
    /// - Throws: `ImageError` if the XML is too large, or has a NUL in it.
    public init(
        xml: [UInt8],
        cookie: [UInt8]? = nil,
        format: LibvirtSaveFormat,
        wasRunning: Bool
    ) throws(ImageError) {
        let texts = xml.count + (cookie?.count ?? 0)
        guard !xml.isEmpty, texts <= Self.textByteLimit, !xml.contains(0),
            cookie?.contains(0) != true
        else {
            throw ImageError(
                "the domain XML is no text that fits a save file",
                hint: "give a definition as 'virsh dumpxml --migratable' prints it"
            )
        }
        let cookieByteCount = cookie.map { $0.count + 1 } ?? 0
        self.xml = xml
        self.cookie = cookie
        header = LibvirtSaveHeader(
            dataByteCount: UInt32(xml.count + 1 + cookieByteCount + Self.roomByteCount),
            wasRunning: wasRunning,
            format: format,
            cookieOffset: cookie == nil ? 0 : UInt32(xml.count + 1)
        )
    }

    /// Reads what stands at the beginning of a file.
    ///
    /// - Throws: `ImageError` if there is no header of libvirt's, or the file can't be read.
    @available(*, noasync)
    init(reading file: Channel) throws(ImageError) {
        let first = try Self.bytes(of: file, at: 0, LibvirtSaveHeader.byteCount)
        do throws(WireError) {
            header = try LibvirtSaveHeader(decoding: first.span)
        } catch {
            throw ImageError("\(error)", offset: error.offset)
        }
        let start = UInt64(LibvirtSaveHeader.byteCount)
        let byteCount = min(Int(header.dataByteCount), Self.textByteLimit)
        let texts = try Self.bytes(of: file, at: start, byteCount)
        let cookieOffset = Int(header.cookieOffset)
        let xmlEnd = cookieOffset > 0 ? min(cookieOffset, texts.count) : texts.count
        xml = Self.text(texts[..<xmlEnd])
        cookie =
            cookieOffset > 0 && cookieOffset < texts.count
            ? Self.text(texts[cookieOffset...]) : nil
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        Array(bytes.prefix { $0 != 0 })
    }

    private static func bytes(
        of file: Channel,
        at offset: UInt64,
        _ byteCount: Int
    ) throws(ImageError) -> [UInt8] {
        try file.readBytes(at: offset, byteCount: byteCount)
    }

    /// How the stream is stored; nil for a number that libvirt 11.3 doesn't know.
    public var format: LibvirtSaveFormat? { LibvirtSaveFormat(rawValue: header.format) }

    /// Where the stream begins in the file.
    public var streamOffset: UInt64 {
        UInt64(LibvirtSaveHeader.byteCount) + UInt64(header.dataByteCount)
    }

    /// All bytes before the stream.
    ///
    /// - Parameter isPartial: whether the file is marked as unfinished.
    func encoded(isPartial: Bool) -> [UInt8] {
        var header = header
        header.isPartial = isPartial
        var bytes = header.encoded + xml + [0]
        if let cookie {
            bytes += cookie + [0]
        }
        bytes += [UInt8](repeating: 0, count: max(0, Int(streamOffset) - bytes.count))
        return bytes
    }
}
