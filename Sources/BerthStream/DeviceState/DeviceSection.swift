public import BerthWire

/// Where a section that Berth does not look into lies within a run of bytes.
public struct DeviceSection: Equatable, Sendable {
    /// `.full`, or `.start`, `.part`, `.end` of a section in several parts.
    public var kind: ElementKind
    /// Handle of the section in its stream.
    public var id: UInt32
    /// Name, instance and version; for later parts, those of the section's start.
    public var identity: SectionHeader.Identity
    /// Index of the header's first byte.
    public var start: Int
    /// Indices of the body.
    public var body: Range<Int>
    /// Index of the byte after the footer, or after the body where there are no footers.
    public var end: Int

    /// Makes a section.
    public init(
        kind: ElementKind,
        id: UInt32,
        identity: SectionHeader.Identity,
        start: Int,
        body: Range<Int>,
        end: Int
    ) {
        self.kind = kind
        self.id = id
        self.identity = identity
        self.start = start
        self.body = body
        self.end = end
    }

    /// The same section, with all indices moved by `distance`.
    func moved(by distance: Int) -> DeviceSection {
        DeviceSection(
            kind: kind,
            id: id,
            identity: identity,
            start: start + distance,
            body: (body.lowerBound + distance)..<(body.upperBound + distance),
            end: end + distance
        )
    }
}

/// Sections that follow each other, byte for byte as they came.
public struct DeviceSectionRun: Equatable, Sendable {
    /// The sections' bytes, headers and footers included, nothing between them.
    public private(set) var bytes: [UInt8]
    /// The sections, in order; together they cover `bytes`.
    public private(set) var sections: [DeviceSection]

    /// An empty run.
    public init() {
        bytes = []
        sections = []
    }

    /// Copies sections out of a buffer, leaving out what lies between them.
    ///
    /// - Parameters:
    ///   - found: sections with indices into `buffer`.
    ///   - buffer: the bytes that `DeviceSectionScanner` was given.
    public init(_ found: [DeviceSection], copying buffer: Span<UInt8>) {
        self.init()
        append(found, copying: buffer)
    }

    /// Appends sections, as `init(_:copying:)`.
    public mutating func append(_ found: [DeviceSection], copying buffer: Span<UInt8>) {
        bytes.reserveCapacity(bytes.count + found.reduce(0) { $0 + $1.end - $1.start })
        for section in found {
            sections.append(section.moved(by: bytes.count - section.start))
            for index in section.start..<section.end {
                bytes.append(buffer[index])
            }
        }
    }

    /// Appends one section made here.
    public mutating func append(
        id: UInt32,
        identity: SectionHeader.Identity,
        body: [UInt8],
        footer: Bool
    ) {
        let start = bytes.count
        SectionHeader(full: true, id: id, identity: identity).encode(into: &bytes)
        let bodyStart = bytes.count
        bytes.append(contentsOf: body)
        let bodyEnd = bytes.count
        if footer {
            SectionFooter(id: id).encode(into: &bytes)
        }
        sections.append(
            DeviceSection(
                kind: .full,
                id: id,
                identity: identity,
                start: start,
                body: bodyStart..<bodyEnd,
                end: bytes.count
            )
        )
    }

    /// Replaces the body of a section by one of the same length.
    ///
    /// - Precondition: `body` is as long as the present one.
    mutating func replaceBody(at index: Int, with body: [UInt8]) {
        let range = sections[index].body
        precondition(range.count == body.count, "a body is replaced by one of its length")
        bytes.replaceSubrange(range, with: body)
    }

    /// The body of a section.
    public func body(at index: Int) -> ArraySlice<UInt8> {
        bytes[sections[index].body]
    }

    /// Index of the section in one piece with this name and instance 0.
    public func index(ofFull name: String) -> Int? {
        sections.firstIndex {
            $0.kind == .full && $0.identity.name == name && $0.identity.instance == 0
        }
    }

    /// The bytes to send, with a footer after every section or after none.
    ///
    /// - Parameter footers: whether the destination expects footers; QEMU does by default.
    public func encoded(footers: Bool) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + sections.count * SectionFooter.byteCount)
        for section in sections {
            output.append(contentsOf: bytes[section.start..<section.body.upperBound])
            if footers {
                SectionFooter(id: section.id).encode(into: &output)
            }
        }
        return output
    }
}
