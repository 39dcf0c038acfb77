/// How large one JSON text may become before it is refused.
public struct JSONLimits: Sendable, Equatable {
    /// Objects and arrays inside one another.
    public var depth: Int
    /// Words, numbers, strings and punctuation marks in one value.
    public var tokenCount: Int
    /// Bytes of those tokens in one value, and bytes of one token; blanks don't count.
    public var tokenByteCount: Int

    /// Limits of one's own.
    public init(depth: Int, tokenCount: Int, tokenByteCount: Int) {
        self.depth = depth
        self.tokenCount = tokenCount
        self.tokenByteCount = tokenByteCount
    }

    /// What QEMU's monitor takes: 1024 levels, 2^21 tokens, 64 MiB.
    public static let monitor = JSONLimits(
        depth: 1024,
        tokenCount: 1 << 21,
        tokenByteCount: 64 << 20
    )

    /// For documents out of files and streams: 64 levels, 2^21 tokens, 64 MiB.
    ///
    /// The deepest known document, a stream's description, has 7 levels and, for a guest with a
    /// thousand devices, some 10^5 tokens.
    public static let document = JSONLimits(
        depth: 64,
        tokenCount: 1 << 21,
        tokenByteCount: 64 << 20
    )
}
