public import BerthMemory
public import BerthWire

/// What differs between an image, or a guest loaded from it, and the image's seal.
public struct SealVerdict: Sendable {
    /// Pages of one block that don't have the content that was sealed.
    public struct BadPages: Sendable {
        /// Name of the block.
        public let block: String
        /// A set bit is a bad page.
        public let pages: PageBitmap

        /// Offsets in the block of the first runs of bad pages, in bytes.
        public func ranges(limit: Int = .max) -> [Range<UInt64>] {
            var ranges: [Range<UInt64>] = []
            var page = 0
            while ranges.count < limit, let run = pages.nextRun(from: page) {
                ranges.append(
                    UInt64(
                        run.lowerBound * targetPageByteCount
                    )..<UInt64(
                        run.upperBound * targetPageByteCount
                    )
                )
                page = run.upperBound
            }
            return ranges
        }
    }

    /// Blocks with bad pages, in the stream's order.
    public internal(set) var badPages: [BadPages] = []
    /// What else differs, each one phrase: `device section 'timer' isn't the one that was sealed`.
    public internal(set) var differences: [String] = []

    /// Whether everything is as it was sealed.
    public var isWhole: Bool { badPages.isEmpty && differences.isEmpty }

    /// Number of bad pages.
    public var badPageCount: Int { badPages.reduce(0) { $0 + $1.pages.count } }

    /// Nothing differs.
    public init() {}

    /// Nothing differs but these.
    init(badPages: [PageBitmap], of blocks: [SealedBlock]) {
        for (pages, block) in zip(badPages, blocks) where pages.count > 0 {
            self.badPages.append(BadPages(block: block.name, pages: pages))
        }
    }

    /// Adds what another check found.
    public mutating func add(_ other: SealVerdict) {
        badPages += other.badPages
        differences += other.differences
    }

    /// The error for a load that must not go on; nil if all is whole.
    public var error: StreamError? {
        guard !isWhole else { return nil }
        var phrases: [String] = []
        if let first = badPages.first, let range = first.ranges(limit: 1).first {
            var phrase = "page 0x\(String(range.lowerBound, radix: 16)) of block '\(first.block)'"
            if badPageCount > 1 { phrase += " and \(badPageCount - 1) more" }
            phrases.append("\(phrase) doesn't have the content that was sealed")
        }
        if let first = differences.first {
            phrases.append(
                differences.count > 1 ? "\(first) (and \(differences.count - 1) more)" : first
            )
        }
        return StreamError(
            .malformed,
            "the image was damaged after it was written: \(phrases.joined(separator: "; "))",
            hint: "'berth verify' lists all of it"
        )
    }
}

extension Seal {
    /// Compares what isn't RAM.
    ///
    /// - Parameters:
    ///   - configuration: the stream's configuration section.
    ///   - deviceState: the sections and the description as they came.
    public func check(
        _ configuration: ConfigurationSection,
        _ deviceState: DeviceState
    ) -> SealVerdict {
        let found = SealedPart.parts(of: configuration, deviceState, algorithm)
        return check(found, header.parts.filter { $0.kind != .map })
    }

    /// Compares where a mapped-ram image has a block's pages, and which, if that was sealed.
    public func checkMap(
        ofBlock index: Int,
        pagesOffset: UInt64,
        present: PageBitmap
    ) -> SealVerdict {
        guard header.blocks.indices.contains(index) else { return SealVerdict() }
        let name = header.blocks[index].name
        guard let sealed = header.parts.first(where: { $0.kind == .map && $0.name == name }) else {
            return SealVerdict()
        }
        let found = SealedPart.map(
            of: name,
            pagesOffset: pagesOffset,
            present: present,
            algorithm
        )
        return check([found], [sealed])
    }

    /// Compares the list of blocks; pages can be compared only if nothing differs.
    public func check(_ blocks: [StreamBlock]) -> SealVerdict {
        var verdict = SealVerdict()
        let sealed = header.blocks
        if blocks.count != sealed.count {
            verdict.differences.append(
                "the image has \(blocks.count) RAM blocks, \(sealed.count) were sealed"
            )
        }
        for (block, sealed) in zip(blocks, sealed)
        where block.name != sealed.name || UInt64(block.byteCount) != sealed.byteCount {
            verdict.differences.append(
                "the image has the RAM block '\(block.name)' of \(block.byteCount) bytes, "
                    + "'\(sealed.name)' of \(sealed.byteCount) was sealed"
            )
        }
        return verdict
    }

    private func check(_ found: [SealedPart], _ sealed: [SealedPart]) -> SealVerdict {
        var verdict = SealVerdict()
        if found.count != sealed.count {
            verdict.differences.append(
                "the image has \(found.count) parts beside RAM, \(sealed.count) were sealed"
            )
        }
        for (found, sealed) in zip(found, sealed) where found != sealed {
            verdict.differences.append("\(sealed.words) isn't the one that was sealed")
        }
        return verdict
    }
}

extension SealedPart {
    /// What it is, for messages.
    fileprivate var words: String {
        switch kind {
        case .configuration: "the configuration section"
        case .section:
            "the device section '\(name)'" + (instance == 0 ? "" : ", instance \(instance),")
        case .description: "the description of device state"
        case .map: "the map of pages of block '\(name)'"
        }
    }
}
