/// One word of a JSON text: where its bytes lie in the buffer of its message.
struct JSONToken {
    enum Kind: UInt8 {
        case openBrace, closeBrace, openBracket, closeBracket, comma, colon
        /// With its quotes, escapes not yet judged.
        case string
        case integer
        /// A number with a fraction or an exponent.
        case float
        /// Lower-case letters: `true`, `false`, `null` or a mistake.
        case keyword
    }

    let kind: Kind
    /// Of the first byte, in the message's text.
    let start: Int
    let byteCount: Int
    /// Of the first byte, in the input since the parser was reset.
    let inputOffset: Int
}

/// The tokens of a message, and their bytes one after the other.
struct JSONTokens {
    var tokens: [JSONToken] = []
    /// The bytes of all complete tokens, then those of the one that is being read.
    var text: [UInt8] = []
    /// Where the token that is being read begins in `text`.
    private(set) var currentStart = 0
    /// Where it begins in the input.
    var currentOffset = 0

    /// Bytes of the token that is being read.
    var currentByteCount: Int { text.count - currentStart }

    /// Ends the token that is being read.
    mutating func finish(_ kind: JSONToken.Kind) {
        tokens.append(
            JSONToken(
                kind: kind,
                start: currentStart,
                byteCount: currentByteCount,
                inputOffset: currentOffset
            )
        )
        currentStart = text.count
    }

    /// Forgets everything, but keeps memory of ordinary size for the next message.
    mutating func removeAll() {
        // One large request must not hold its memory for as long as its client stays.
        let isLarge = text.capacity > 1 << 16 || tokens.capacity > 1 << 12
        tokens.removeAll(keepingCapacity: !isLarge)
        text.removeAll(keepingCapacity: !isLarge)
        currentStart = 0
    }
}
