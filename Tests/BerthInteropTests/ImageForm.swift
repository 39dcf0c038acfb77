import BerthTestSupport
import Foundation
import Testing

/// The forms that `berth convert` writes, by the names that its option has for them.
enum ImageForm: String, Sendable, CaseIterable {
    case mappedRAM = "mapped-ram"
    case sequential
    case raw = "libvirt-raw"
    case gzip = "libvirt-gzip"
    case bzip2 = "libvirt-bzip2"
    case xz = "libvirt-xz"
    case lzop = "libvirt-lzop"
    case zstd = "libvirt-zstd"
    case sparse = "libvirt-sparse"

    /// Whether it is a libvirt save file.
    var isLibvirt: Bool { libvirtName != nil }

    /// Whether the stream in it has the layout mapped-ram.
    var isMapped: Bool { self == .mappedRAM || self == .sparse }

    /// What `virsh save --image-format` calls it; nil for bare streams.
    var libvirtName: String? {
        rawValue.hasPrefix("libvirt-") ? String(rawValue.dropFirst(8)) : nil
    }

    /// The program that gives back the stream; nil where it isn't compressed.
    var decompressor: String? {
        [.gzip, .bzip2, .xz, .lzop, .zstd].contains(self) ? libvirtName : nil
    }

    /// Where QEMU finds the stream in an image of this form, without libvirt.
    func address(of image: String) throws -> String {
        guard isLibvirt else { return "file:\(image)" }
        let header = try FileHandle(forReadingFrom: URL(fileURLWithPath: image))
        let bytes = try #require(try header.read(upToCount: 92))
        try header.close()
        try #require(bytes.count == 92 && bytes.prefix(16) == Data("LibvirtQemudSave".utf8))
        let dataByteCount = (0..<4).reduce(0) { $0 | Int(bytes[0x14 + $1]) << (8 * $1) }
        let offset = 92 + dataByteCount
        guard let decompressor else { return "file:\(image),offset=\(offset)" }
        return "exec:tail -c +\(offset + 1) '\(image)' | \(decompressor) -dc"
    }
}
