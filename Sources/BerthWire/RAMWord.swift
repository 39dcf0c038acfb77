/// The low bits of a RAM word, which say what follows it.
///
/// Format: docs/wire/sequential.md. Origin: QEMU 10.0 migration/ram.c, RAM_SAVE_FLAG_*.
public struct RAMFlags: OptionSet, Hashable, Sendable {
    /// The bits below the page offset.
    public let rawValue: UInt16

    /// Makes flags from their bits.
    @inlinable
    public init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// The page is all zero; a zero byte follows (RAM_SAVE_FLAG_ZERO).
    public static let zero = RAMFlags(rawValue: 0x002)
    /// The list of blocks follows; the offset is their total (RAM_SAVE_FLAG_MEM_SIZE).
    public static let blockList = RAMFlags(rawValue: 0x004)
    /// The page's bytes follow (RAM_SAVE_FLAG_PAGE).
    public static let page = RAMFlags(rawValue: 0x008)
    /// The section's body ends (RAM_SAVE_FLAG_EOS).
    public static let endOfSection = RAMFlags(rawValue: 0x010)
    /// With a page: same block as the page before, no name follows (RAM_SAVE_FLAG_CONTINUE).
    public static let continues = RAMFlags(rawValue: 0x020)
    /// The difference to the page's present content follows (RAM_SAVE_FLAG_XBZRLE).
    public static let xbzrle = RAMFlags(rawValue: 0x040)
    /// For RDMA; nothing follows (RAM_SAVE_FLAG_HOOK).
    public static let hook = RAMFlags(rawValue: 0x080)
    /// All multifd channels meet here (RAM_SAVE_FLAG_MULTIFD_FLUSH).
    public static let multifdFlush = RAMFlags(rawValue: 0x200)
}

/// One word of a RAM section's body: a page-aligned number and flags in its low 12 bits.
///
/// offset 0 number | flags (8)
///
/// Format: docs/wire/sequential.md. Origin: QEMU 10.0 migration/ram.c, ram_load_precopy.
public struct RAMWord: Hashable, Sendable {
    /// Bytes of the encoded form.
    public static let byteCount = 8

    /// What a word announces.
    public enum Kind: Sendable, Equatable {
        /// A zero page at `offset`: [name], then a zero byte.
        case zero
        /// The block list; `offset` is the total of their bytes.
        case blockList
        /// A page at `offset`: [name], then its bytes.
        case page
        /// The end of the body.
        case endOfSection
        /// A difference for the page at `offset`: [name], then `XBZRLEHeader`.
        case xbzrle
        /// To be ignored.
        case hook
        /// To be ignored without multifd.
        case multifdFlush
    }

    /// The word as it travels.
    public var rawValue: UInt64

    /// A word as read from the wire, of any content.
    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// Makes a word.
    ///
    /// - Precondition: `offset` is a whole number of pages.
    @inlinable
    public init(offset: UInt64, flags: RAMFlags) {
        precondition(TargetPage.isAligned(offset), "a RAM word's offset is a multiple of the page")
        rawValue = offset | UInt64(flags.rawValue)
    }

    /// Reads a word of any content; `kind(at:)` judges it.
    ///
    /// - Throws: `WireError.truncated`.
    @inlinable
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        rawValue = try cursor.be64(bytes, "RAM word")
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        output.appendBigEndian(rawValue)
    }

    /// The number without the flags: bytes from the block's start, or a total of bytes.
    @inlinable
    public var offset: UInt64 {
        rawValue & ~TargetPage.flagMask
    }

    /// The flags.
    @inlinable
    public var flags: RAMFlags {
        RAMFlags(rawValue: UInt16(truncatingIfNeeded: rawValue & TargetPage.flagMask))
    }

    /// Whether the page belongs to the block of the page before, so that no name follows.
    @inlinable
    public var continuesBlock: Bool {
        rawValue & UInt64(RAMFlags.continues.rawValue) != 0
    }

    /// What the word announces; exactly one flag beside `continues` must be set.
    ///
    /// - Parameter streamOffset: where the word was read, for the message.
    /// - Throws: `WireError.unknownKind` for no flag, several, or one that QEMU 10.0 refuses too.
    @inlinable
    public func kind(at streamOffset: UInt64) throws(WireError) -> Kind {
        switch flags.subtracting(.continues) {
        case .page: .page
        case .zero: .zero
        case .endOfSection: .endOfSection
        case .xbzrle: .xbzrle
        case .blockList: .blockList
        case .multifdFlush: .multifdFlush
        case .hook: .hook
        default: throw unknownFlags(at: streamOffset)
        }
    }

    @usableFromInline
    func unknownFlags(at streamOffset: UInt64) -> WireError {
        .unknownKind(
            field: "RAM word's flags",
            offset: streamOffset,
            found: hexadecimal(flags.rawValue)
        )
    }
}
