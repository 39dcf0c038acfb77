import BerthWire

/// What a file is, as its first bytes say.
public enum ImageContent: Sendable, Equatable {
    /// A migration stream, in either layout.
    case stream
    /// A migration stream, or something else, in a compressed form.
    case compressedStream(Compression)
    /// A stream behind libvirt's header.
    case libvirt
    /// Zeros where a stream begins: a save of Berth in the layout mapped-ram that was cut off.
    case cutOff
    /// Something known that isn't a saved guest; with its article.
    case foreign(String)
    /// Nothing known.
    case unknown
    /// No byte.
    case empty

    /// Bytes that are looked at.
    static let byteCount = 4096

    /// Judges the first bytes of a file.
    ///
    /// - Parameter bytes: `byteCount` of them, or all that the file has.
    init(firstBytes bytes: [UInt8]) {
        if bytes.isEmpty {
            self = .empty
        } else if bytes.starts(with: [0x51, 0x45, 0x56, 0x4d]) {
            self = .stream
        } else if LibvirtSaveHeader.isMagic(bytes.span) {
            self = .libvirt
        } else if let compression = Compression.allCases.first(where: {
            bytes.starts(with: $0.magic)
        }) {
            self = .compressedStream(compression)
        } else if let name = Self.foreignFile(bytes) {
            self = .foreign(name)
        } else if Self.looksCutOff(bytes) {
            self = .cutOff
        } else {
            self = .unknown
        }
    }

    /// Zeros in the place of the header, and a configuration section behind them.
    private static func looksCutOff(_ bytes: [UInt8]) -> Bool {
        bytes.count > StreamHeader.byteCount
            && bytes.prefix(StreamHeader.byteCount).allSatisfy { $0 == 0 }
            && bytes[StreamHeader.byteCount] == ElementKind.configuration.rawValue
    }

    private struct Foreign {
        let name: String
        let offset: Int
        let magic: [UInt8]

        init(_ name: String, _ magic: String, at offset: Int = 0) {
            self.name = name
            self.offset = offset
            self.magic = Array(magic.utf8)
        }

        init(_ name: String, bytes: [UInt8], at offset: Int = 0) {
            self.name = name
            self.offset = offset
            magic = bytes
        }

        func matches(_ bytes: [UInt8]) -> Bool {
            bytes.dropFirst(offset).starts(with: magic)
        }
    }

    /// An ELF file, by its type: a core is what people look for memory in.
    private static func elf(_ bytes: [UInt8]) -> String? {
        guard bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else { return nil }
        guard bytes.count >= 18 else { return "an ELF file" }
        // Byte 5 is the byte order, 2 the big one.
        let type = bytes[5] == 2 ? [bytes[17], bytes[16]] : [bytes[16], bytes[17]]
        return type == [4, 0]
            ? "an ELF core (of a process, or a dump of dump-guest-memory)"
            : "an ELF file (a program or a library)"
    }

    /// A file that is known, and isn't a saved guest.
    private static func foreignFile(_ bytes: [UInt8]) -> String? {
        if let elf = elf(bytes) { return elf }
        if let known = foreignFiles.first(where: { $0.matches(bytes) }) { return known.name }
        // A document begins with an element, an instruction or a comment.
        guard bytes.count > 1, bytes[0] == UInt8(ascii: "<") else { return nil }
        let next = Character(Unicode.Scalar(bytes[1]))
        return next.isLetter || next == "?" || next == "!" ? "an XML document" : nil
    }

    /// What people take for a saved guest, or find beside one.
    private static let foreignFiles = [
        Foreign("a compressed dump of a guest (kdump)", "KDUMP   "),
        Foreign("a flattened dump of a guest (makedumpfile)", "makedumpfile"),
        Foreign("a qcow2 disk image", bytes: [0x51, 0x46, 0x49, 0xfb]),
        Foreign("a VMDK disk image", "KDMV"),
        Foreign("a VMDK description", "# Disk DescriptorFile"),
        Foreign("a VHDX disk image", "vhdxfile"),
        Foreign("a VHD disk image", "conectix"),
        Foreign("a VDI disk image", bytes: [0x7f, 0x10, 0xda, 0xbe], at: 0x40),
        // "<<< Oracle VM VirtualBox Disk Image >>>", and the names of its makers before.
        Foreign("a VDI disk image", "<<< "),
        Foreign("a save file of Xen's xl", "Xen saved domain"),
        Foreign("a save file of Xen in the old format", "LinuxGuestRecord"),
        Foreign("a migration stream of Xen", "XENF", at: 8),
        Foreign("a LUKS volume", bytes: [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe]),
        Foreign("a LiME memory dump", "EMiL"),
        Foreign("a Windows crash dump", "PAGEDU"),
        Foreign("a tar archive", "ustar", at: 257),
        Foreign("a zip archive", "PK\u{3}\u{4}"),
    ]
}
