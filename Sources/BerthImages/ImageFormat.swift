public import BerthWire

/// The two ways in which QEMU lays a stream out.
public enum StreamLayout: String, Sendable, CaseIterable {
    /// Every page at its own place: bounded, sparse, seekable.
    case mappedRAM = "mapped-ram"
    /// Pages in the order in which they came, as QEMU saves to pipes and by default to files.
    case sequential
}

/// The forms in which Berth writes an image: a layout, bare or in a libvirt save file.
public enum ImageFormat: String, Sendable, CaseIterable {
    /// A mapped-ram stream as QEMU saves it to `file:`.
    case mappedRAM = "mapped-ram"
    /// A sequential stream as QEMU saves it to anything.
    case sequential
    /// libvirt's usual save file: header, XML and a sequential stream.
    case libvirtRaw = "libvirt-raw"
    case libvirtGzip = "libvirt-gzip"
    case libvirtBzip2 = "libvirt-bzip2"
    case libvirtXz = "libvirt-xz"
    case libvirtLzop = "libvirt-lzop"
    case libvirtZstd = "libvirt-zstd"
    /// libvirt's save file in the layout mapped-ram, which libvirt 11.2 and later know.
    case libvirtSparse = "libvirt-sparse"

    /// How the stream is laid out.
    public var layout: StreamLayout {
        switch self {
        case .mappedRAM, .libvirtSparse: .mappedRAM
        default: .sequential
        }
    }

    /// The number that libvirt's header has for it; nil for a bare stream.
    public var libvirt: LibvirtSaveFormat? {
        switch self {
        case .mappedRAM, .sequential: nil
        case .libvirtRaw: .raw
        case .libvirtGzip: .gzip
        case .libvirtBzip2: .bzip2
        case .libvirtXz: .xz
        case .libvirtLzop: .lzop
        case .libvirtZstd: .zstd
        case .libvirtSparse: .sparse
        }
    }
}

extension ImageFormat {
    /// Throws if digests are wanted of an image that can't have any.
    func requireSealable(_ integrity: IntegrityAlgorithm?) throws(ImageError) {
        guard integrity != nil, let compression = libvirt?.compression else { return }
        throw ImageError(
            "an image as \(rawValue) can't be sealed: it is compressed",
            hint: "\(compression.rawValue) keeps a checksum of its own, which 'berth verify' checks"
        )
    }

    /// Throws unless an image of this form can be written to a pipe.
    func requireStandardOutput() throws(ImageError) {
        guard self == .sequential else {
            throw ImageError(
                "cannot write an image as \(rawValue) to standard output, which can't seek",
                hint: "name a file, or use --format sequential"
            )
        }
    }
}
