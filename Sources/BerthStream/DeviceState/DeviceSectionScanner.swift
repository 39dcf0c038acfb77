public import BerthWire

/// Finds where sections without a length end, and where the stream ends, in a growing buffer.
///
/// ## Overview
/// A device's body has no length, the description that has them comes after all bodies, and a
/// source with a return path keeps its connection open and waits, so a reader must not ask for a
/// byte too many. The scanner gets everything from the first opaque section on, again and again as
/// more arrives, and says what it needs, or what it found.
///
/// ## Function
/// It goes forward on footers: a body ends at the first footer with the section's id that a
/// plausible element follows. After the end of the elements it reads the description and compares.
/// When these disagree (a device's memory, which the guest controls, can hold anything), when the
/// source sends no footers, or when nothing more arrives, it searches for a description anywhere
/// in the buffer from which the sections' lengths lead exactly to its own place.
///
/// ## Implementation
/// A value without I/O and without a clock. The caller owns the buffer, whose first byte is the
/// first section's, and never takes bytes from its front. Work is linear in the buffer, apart from
/// searches with a fixed budget. Footers: `DeviceSectionScanner+Footers.swift`; the search by
/// description: `DeviceSectionScanner+Rewalk.swift`.
///
/// ## The odd case
/// A guest can place a perfect imitation of a stream's tail in a device's memory. What gives it
/// away is that more bytes follow: a source sends nothing after the description. So an end is only
/// reported if the buffer ends there too (or the connection was closed), and a caller that
/// receives another byte after it just appends it and asks again.
///
/// Format: docs/wire/device-state.md.
public struct DeviceSectionScanner: Sendable {
    /// What the caller knows about bytes beyond the buffer.
    public enum Arrival: Sendable {
        /// More can come.
        case flowing
        /// Nothing came for a while, so the source probably waits for an answer.
        case quiet
        /// Nothing can come: the connection is closed, or the file ends.
        case closed
    }

    /// What the scanner says.
    public enum Verdict: Equatable, Sendable {
        /// Call again with at least so many bytes in the buffer, or with another arrival.
        case needMore(Int)
        /// The source sent a command here: act on it and call again.
        case command(StreamCommand)
        /// At this index begins a section that the caller reads itself. `sections` are those
        /// before; the scanner's work is done, and the next opaque section needs a new one.
        case nativeSection(at: Int)
        /// The stream ends.
        case end(End)
    }

    /// The end of a stream.
    public struct End: Equatable, Sendable {
        /// Opaque sections from the buffer's start.
        public var sections: [DeviceSection]
        /// Indices of the JSON description; nil if the stream has none.
        public var description: Range<Int>?
        /// Index of the byte after the stream.
        public var byteCount: Int
        /// Whether a description confirmed every section and every length.
        ///
        /// If not, only footers led here, and a caller with an open connection should first wait
        /// for it to be quiet.
        public var isVerified: Bool
    }

    /// Sections found so far by going forward.
    public internal(set) var sections: [DeviceSection] = []
    /// Sections in several parts, those of the buffer included.
    public internal(set) var ledger: SectionLedger

    /// Sections in one piece that came before the buffer; the description lists them first.
    let earlier: [SectionHeader.Identity]
    let nativeNames: Set<String>
    let hasFooters: Bool
    let base: UInt64
    /// The ledger as it was before the buffer.
    let initialLedger: SectionLedger

    /// Where the way forward stands.
    enum Place: Equatable {
        /// An element begins at this index.
        case element(Int)
        /// The body of this section is searched for its footer from the index on.
        case body(DeviceSection, from: Int)
        /// The end of the elements stands at this index.
        case tail(Int)
    }

    var place = Place.element(0)
    /// Whether the way forward was found wrong, so that the search by description is on.
    var searchesDescription: Bool
    var rewalk = Rewalk()
    /// An end at the buffer's end to which only footers lead, found by the present call.
    var unverified: End?
    /// Ends that later bytes put in doubt; used if the stream closes without a better one.
    var doubtful: [End] = []
    /// Bytes that the search for another way forward may still look at.
    var retryBudget = 0

    /// Bytes that one retry may look at, 256 MiB: twice the largest device state, a fraction of a
    /// second.
    ///
    /// Real streams need none.
    static let retryByteCount = 256 << 20

    /// Ends in doubt that are kept, the latest.
    ///
    /// Only hostile device memory makes more than one.
    static let doubtfulCount = 8

    /// Bytes after a verified end that are searched for a better one, 16 MiB.
    ///
    /// A connection has none; an image on a block device is followed by whatever was there. Past
    /// this, what follows is taken for that.
    static let doubtByteCount = 16 << 20

    /// Sections that one run may have.
    ///
    /// A guest with every slot filled has some hundreds.
    static let sectionCountLimit = 16_384

    /// Begins at the first opaque section of a run.
    ///
    /// - Parameters:
    ///   - hasFooters: whether the source sends footers; the RAM section before has shown it.
    ///   - nativeNames: sections that the caller reads itself.
    ///   - ledger: sections that have begun before.
    ///   - earlier: opaque sections in one piece that earlier runs had, in order.
    ///   - base: offset in the stream of the buffer's first byte, for messages.
    public init(
        hasFooters: Bool = true,
        nativeNames: Set<String> = ["ram"],
        ledger: SectionLedger = SectionLedger(),
        earlier: [SectionHeader.Identity] = [],
        base: UInt64 = 0
    ) {
        self.hasFooters = hasFooters
        self.nativeNames = nativeNames
        self.ledger = ledger
        initialLedger = ledger
        self.earlier = earlier
        self.base = base
        searchesDescription = !hasFooters
    }

    /// Looks at the buffer.
    ///
    /// - Parameters:
    ///   - bytes: everything since the run's first byte; each call has at least the bytes of the
    ///     call before.
    ///   - arrival: what is known about the time after. Quiet changes nothing for later calls: if
    ///     more arrives all the same, the search goes on as if it had not been said.
    /// - Returns: what to do.
    /// - Throws: `WireError.limitExceeded` for more bytes than `DeviceState.byteCountLimit` or too
    ///   many sections; `.truncated` or `.invalidValue` if the stream closed without an end.
    public mutating func advance(
        _ bytes: Span<UInt8>,
        arrival: Arrival
    ) throws(WireError) -> Verdict {
        guard bytes.count <= DeviceState.byteCountLimit + Limits.vmDescriptionByteCount else {
            if let end = doubtful.last {
                return .end(end)
            }
            throw .limitExceeded(
                field: "device state",
                offset: base,
                limit: UInt64(DeviceState.byteCountLimit),
                found: UInt64(bytes.count)
            )
        }
        unverified = nil
        var needed = bytes.count + 1
        if hasFooters {
            switch try goForward(bytes) {
            case .needMore(let count): needed = count
            case let verdict: return verdict
            }
        }
        if searchesDescription || arrival != .flowing,
            let end = searchDescription(bytes)
        {
            return .end(end)
        }
        if let end = doubtful.last(where: \.isVerified),
            bytes.count - end.byteCount > Self.doubtByteCount
        {
            return .end(end)
        }
        guard arrival != .flowing else {
            return .needMore(needed)
        }
        if let end = unverified ?? retry(bytes) {
            return .end(end)
        }
        guard arrival == .closed else {
            return .needMore(max(needed, bytes.count + 1))
        }
        // Trailing bytes that belong to no stream: the best is the last end that was confirmed.
        if let end = doubtful.last(where: \.isVerified) ?? doubtful.last {
            return .end(end)
        }
        throw truncation(bytes)
    }

    /// Keeps an end that does not fit the buffer's.
    mutating func doubt(_ end: End) {
        guard !doubtful.contains(end) else {
            return
        }
        if doubtful.count == Self.doubtfulCount {
            doubtful.removeFirst()
        }
        doubtful.append(end)
    }

    private func truncation(_ bytes: Span<UInt8>) -> WireError {
        let field: String
        let start: Int
        switch place {
        case .element(let index):
            field = "the element list"
            start = index
        case .body(let section, _):
            field = "section '\(section.identity.name)'"
            start = section.start
        case .tail(let index):
            field = "the description"
            start = index
        }
        return .truncated(
            field: field,
            offset: base &+ UInt64(start),
            needed: bytes.count + 1
        )
    }
}
