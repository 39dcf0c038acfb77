/// How the stream behind a libvirt save file's header is stored.
public enum LibvirtSaveFormat: UInt32, Sendable, CaseIterable {
    /// A sequential stream as it is.
    case raw = 0
    case gzip
    case bzip2
    case xz
    case lzop
    case zstd
    /// A mapped-ram stream, whose offsets count from the start of the file.
    case sparse
}

/// The first 92 bytes of a libvirt save file.
///
/// offset 0 magic (16) · 16 version (4) · 20 data length (4) · 24 was running (4) · 28 format (4) ·
/// 32 cookie offset (4) · 36 unused (56); integers in the byte order of the host that wrote them
///
/// Behind it come the domain's XML with a NUL, the cookie with a NUL, zeros, and at `byteCount` plus
/// the data length the stream. Format: docs/wire/libvirt-save.md. Origin: libvirt 11.3
/// src/qemu/qemu_saveimage.h, struct _virQEMUSaveHeader.
public struct LibvirtSaveHeader: Equatable, Sendable {
    /// Bytes of the encoded form.
    public static let byteCount = 92
    /// The version that libvirt 11.3 writes; version 1 had no format.
    public static let currentVersion: UInt32 = 2
    /// First bytes of a file that is complete.
    public static let completeMagic = Array("LibvirtQemudSave".utf8)
    /// First bytes of a file that is being written, or was when somebody ended libvirt.
    public static let partialMagic = Array("LibvirtQemudPart".utf8)

    /// Whether the file is marked as unfinished.
    public var isPartial: Bool
    /// 1 or 2.
    public var version: UInt32
    /// Bytes from the header's end to the stream.
    public var dataByteCount: UInt32
    /// Whether the guest ran when it was saved, and is to run once it is restored.
    public var wasRunning: Bool
    /// A `LibvirtSaveFormat`, or a number that libvirt 11.3 doesn't know.
    public var format: UInt32
    /// Bytes from the header's end to the cookie, 0 for none.
    public var cookieOffset: UInt32
    /// Whether the integers are in the byte order that this host doesn't have.
    public var isByteSwapped: Bool

    /// Makes the header of a complete file in this host's byte order.
    public init(
        dataByteCount: UInt32,
        wasRunning: Bool,
        format: LibvirtSaveFormat,
        cookieOffset: UInt32
    ) {
        isPartial = false
        version = Self.currentVersion
        self.dataByteCount = dataByteCount
        self.wasRunning = wasRunning
        self.format = format.rawValue
        self.cookieOffset = cookieOffset
        isByteSwapped = false
    }

    /// Whether a file begins with either magic.
    public static func isMagic(_ bytes: Span<UInt8>) -> Bool {
        begins(bytes, completeMagic) || begins(bytes, partialMagic)
    }

    /// Decodes a header; what its fields say is judged by whoever knows the file.
    ///
    /// A version above 2 has its integers looked at in the other byte order, as libvirt does.
    /// - Throws: `WireError.truncated`; `.invalidValue` for another magic.
    public init(decoding bytes: Span<UInt8>) throws(WireError) {
        guard bytes.count >= Self.byteCount else {
            throw .truncated(field: "libvirt's header", offset: 0, needed: Self.byteCount)
        }
        guard Self.isMagic(bytes) else {
            throw .invalidValue(
                field: "libvirt's magic",
                offset: 0,
                expected: "LibvirtQemudSave",
                found: "something else"
            )
        }
        isPartial = Self.begins(bytes, Self.partialMagic)
        func word(_ offset: Int, swapped: Bool) -> UInt32 {
            var value: UInt32 = 0
            for index in 0..<4 {
                value |= UInt32(bytes[offset + index]) << UInt32(8 * index)
            }
            let native = UInt32(littleEndian: value)
            return swapped ? native.byteSwapped : native
        }
        let swapped = word(16, swapped: false) > Self.currentVersion
        isByteSwapped = swapped
        version = word(16, swapped: swapped)
        dataByteCount = word(20, swapped: swapped)
        wasRunning = word(24, swapped: swapped) != 0
        format = word(28, swapped: swapped)
        cookieOffset = word(32, swapped: swapped)
    }

    private static func begins(_ bytes: Span<UInt8>, _ magic: [UInt8]) -> Bool {
        guard bytes.count >= magic.count else { return false }
        return magic.indices.allSatisfy { bytes[$0] == magic[$0] }
    }

    /// The encoded form, 92 bytes.
    public var encoded: [UInt8] {
        var output = isPartial ? Self.partialMagic : Self.completeMagic
        for word in [version, dataByteCount, wasRunning ? 1 : 0, format, cookieOffset] {
            let stored = (isByteSwapped ? word.byteSwapped : word).littleEndian
            for index in 0..<4 {
                output.append(UInt8(truncatingIfNeeded: stored >> UInt32(8 * index)))
            }
        }
        return output + [UInt8](repeating: 0, count: Self.byteCount - output.count)
    }
}
