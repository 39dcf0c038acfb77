import BerthSystem
import BerthTransport
public import BerthWire

/// A compressed form of a stream, made and undone by the program of that name, as libvirt does it.
public enum Compression: String, Sendable, CaseIterable {
    case gzip, bzip2, xz, lzop, zstd

    /// First bytes of a file in this form.
    var magic: [UInt8] {
        switch self {
        case .gzip: [0x1f, 0x8b]
        case .bzip2: Array("BZh".utf8)
        case .xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]
        case .lzop: [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a]
        case .zstd: [0x28, 0xb5, 0x2f, 0xfd]
        }
    }

    /// How libvirt 11.3 compresses, but on all processors where the program can.
    private var compressing: [String] {
        switch self {
        // libvirt's level: the usual one takes ten times as long for little.
        case .xz: ["xz", "-c", "-3", "-T0"]
        case .zstd: ["zstd", "-c", "-T0"]
        case .gzip, .bzip2, .lzop: [rawValue, "-c"]
        }
    }

    private var decompressing: [String] {
        self == .lzop ? ["lzop", "-dc", "--ignore-warn"] : [rawValue, "-dc"]
    }

    /// Whether the program is there.
    var isInstalled: Bool { ProgramSearch.path(of: rawValue) != nil }

    /// What a compressed file holds, from where the file stands.
    func decompressed(
        _ file: Channel,
        name: String
    ) throws(TransportError) -> Channel {
        try .reading(file, through: decompressing, name: name)
    }

    /// Where to write what is to be held by a file, from where it stands.
    func compressed(
        into file: Channel,
        name: String
    ) throws(TransportError) -> Channel {
        try .writing(file, through: compressing, name: name)
    }
}

extension LibvirtSaveFormat {
    /// How the stream is compressed; nil if it isn't.
    public var compression: Compression? {
        switch self {
        case .raw, .sparse: nil
        case .gzip: .gzip
        case .bzip2: .bzip2
        case .xz: .xz
        case .lzop: .lzop
        case .zstd: .zstd
        }
    }
}
