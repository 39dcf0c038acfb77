public import BerthStream
public import BerthWire

/// What `ImageVerifier` found.
public struct VerificationReport: Sendable {
    /// Something wrong with an image.
    public struct Fault: Sendable, Equatable {
        /// Where: in the file or, for a compressed stream, in what it unpacks to; nil if nowhere.
        public var offset: UInt64?
        /// Whether the place is one in what a compressed stream unpacks to.
        public var isUnpacked: Bool
        /// What is wrong, one phrase.
        public var what: String
        /// What it means for a restore, one phrase.
        public var meaning: String

        /// Describes a fault.
        public init(
            at offset: UInt64?,
            isUnpacked: Bool = false,
            _ what: String,
            _ meaning: String
        ) {
            self.offset = offset
            self.isUnpacked = isUnpacked
            self.what = what
            self.meaning = meaning
        }
    }

    /// What was done to find out whether the content is what was saved.
    public enum ContentCheck: Sendable, Equatable {
        /// Nothing: the image has no checksums, or only the structure was asked for.
        case none
        /// Each page was compared with its seal.
        case sealed(IntegrityAlgorithm)
        /// The compressed form's own checksum was.
        case compressed(Compression)
        /// Nothing: the compressed form was made without a checksum.
        case compressedWithoutChecksum(Compression)
    }

    /// Everything that is wrong, in the order in which it was found.
    public internal(set) var faults: [Fault] = []
    /// What is odd, and does no harm by itself.
    public internal(set) var remarks: [Fault] = []
    /// Whether the content was checked, and by what.
    public internal(set) var contentCheck = ContentCheck.none
    /// The image's seal; nil if it has none that can be read.
    public internal(set) var seal: IntegrityAlgorithm?
    /// What the file is, a few words: `libvirt save file, sparse`; empty unless the stream could be
    /// read to its end.
    public internal(set) var kind = ""
    /// The stream without its pages; nil if it couldn't be read to its end.
    public internal(set) var received: ReceivedStream?
    /// How the stream is compressed: what is found in it then has its place in what it unpacks to.
    public internal(set) var compression: Compression?
    /// Whether what is looked at lies before the stream, in the file itself.
    var isBeforeStream = false

    /// Whether there is a seal that can't be read, which is a fault already.
    var hasBadSeal = false

    /// Nothing found so far.
    init() {}

    /// Why the stream wasn't looked at, which says nothing about it: `zstd is missing`; nil if it was.
    public internal(set) var obstacle: String?

    /// Whether all was looked at and nothing is wrong.
    public var isWhole: Bool { faults.isEmpty && obstacle == nil }
}

extension VerificationReport {
    /// The faults as lines for people, each with the file's name, the place and what it means; and
    /// what kept the stream from being looked at.
    public func lines(for path: String) -> [String] {
        faults.map { line($0, path) }
            + (obstacle.map { [printable("\(path): not checked: \($0)")] } ?? [])
    }

    /// The remarks, likewise.
    public func remarkLines(for path: String) -> [String] {
        remarks.map { "note: " + line($0, path) }
    }

    private func line(_ fault: Fault, _ path: String) -> String {
        let stream = fault.isUnpacked ? " of the unpacked stream" : ""
        let place = fault.offset.map { "offset 0x\(String($0, radix: 16))\(stream): " } ?? ""
        return printable("\(path): \(place)\(fault.what); \(fault.meaning)")
    }

    /// One line about an image without faults.
    public func summary(for path: String) -> String {
        var parts = ["\(path): whole: \(kind)"]
        if let received {
            let byteCount = received.blocks.reduce(0) { $0 + $1.byteCount }
            let count = received.blocks.count
            let sections =
                received.deviceState.early.sections.count
                + received.deviceState.final.sections.count
            parts.append(
                "\(count) RAM \(count == 1 ? "block" : "blocks") of \(Self.size(byteCount)), "
                    + "\(sections) device \(sections == 1 ? "section" : "sections")"
            )
        }
        switch contentCheck {
        case .sealed(let algorithm): parts.append("content checked against its seal (\(algorithm))")
        case .compressed(let compression):
            parts.append("content checked against \(compression.rawValue)'s checksum")
        case .compressedWithoutChecksum(let compression):
            parts.append("content can't be checked, \(compression.rawValue) kept no checksum")
        case .none where seal != nil: parts.append("content not checked")
        case .none: parts.append("content can't be checked, the image isn't sealed")
        }
        return printable(parts.joined(separator: "; "))
    }

    private static func size(_ byteCount: Int) -> String {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
        var value = byteCount
        var unit = 0
        while unit < units.count - 1, value >= 1024, value % 1024 == 0 {
            value /= 1024
            unit += 1
        }
        return "\(value) \(units[unit])"
    }
}
