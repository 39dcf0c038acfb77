/// Splits bytes into tokens, one byte at a time, with no regard to how they arrive.
struct JSONLexer {
    /// What a byte has led to.
    enum Step: Equatable {
        /// The byte belongs to a token that isn't complete, or to none.
        case more
        /// The byte completes a token.
        case token(JSONToken.Kind)
        /// The token ended before this byte, which has to be looked at again.
        case tokenBefore(JSONToken.Kind)
        /// The byte cannot stand here. It counts as part of the stray token.
        case stray
    }

    private enum State {
        case start
        /// After a stray byte, until something promises a fresh start.
        case recovery
        case string(quote: UInt8)
        case escape(quote: UInt8)
        case minus
        /// An integer that began with 0 is complete.
        case zero
        case digits
        case point
        case fraction
        case exponent
        case exponentSign
        case exponentDigits
        case keyword
    }

    private let dialect: JSONDialect
    private var state = State.start

    init(_ dialect: JSONDialect) {
        self.dialect = dialect
    }

    /// Whether no token has begun.
    var isBetweenTokens: Bool {
        switch state {
        case .start, .recovery: true
        default: false
        }
    }

    /// The kind of the token at hand if the input may end here; `nil` if it is incomplete.
    var kindAtEnd: JSONToken.Kind? {
        switch state {
        case .zero, .digits: .integer
        case .fraction, .exponentDigits: .float
        case .keyword: .keyword
        default: nil
        }
    }

    /// Begins anew, between tokens.
    mutating func reset() {
        state = .start
    }

    /// Looks at the next byte.
    mutating func advance(_ byte: UInt8) -> Step {
        switch state {
        case .start: return begin(byte)
        case .recovery:
            guard endsRecovery(byte) else { return .more }
            state = .start
            return begin(byte)
        case .string(let quote): return advanceString(byte, quote)
        case .escape(let quote):
            guard isStringByte(byte) else { return stray() }
            state = .string(quote: quote)
            return .more
        default:
            if case .keyword = state {
                if isLetter(byte) { return .more }
                state = .start
                return .tokenBefore(.keyword)
            }
            return advanceNumber(byte)
        }
    }

    private mutating func begin(_ byte: UInt8) -> Step {
        switch byte {
        case UInt8(ascii: " "), 0x09, 0x0A, 0x0D: return .more
        case UInt8(ascii: "{"): return .token(.openBrace)
        case UInt8(ascii: "}"): return .token(.closeBrace)
        case UInt8(ascii: "["): return .token(.openBracket)
        case UInt8(ascii: "]"): return .token(.closeBracket)
        case UInt8(ascii: ","): return .token(.comma)
        case UInt8(ascii: ":"): return .token(.colon)
        case UInt8(ascii: "\""): state = .string(quote: byte)
        case UInt8(ascii: "'") where dialect == .monitor: state = .string(quote: byte)
        case UInt8(ascii: "-"): state = .minus
        case UInt8(ascii: "0"): state = .zero
        case _ where isDigit(byte): state = .digits
        case _ where isLetter(byte): state = .keyword
        default: return stray()
        }
        return .more
    }

    private mutating func advanceString(_ byte: UInt8, _ quote: UInt8) -> Step {
        guard isStringByte(byte) else { return stray() }
        if byte == quote {
            state = .start
            return .token(.string)
        }
        if byte == UInt8(ascii: "\\") { state = .escape(quote: quote) }
        return .more
    }

    private mutating func advanceNumber(_ byte: UInt8) -> Step {
        let isExponentSign = byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E")
        switch state {
        case .minus where byte == UInt8(ascii: "0"): state = .zero
        case .minus where isDigit(byte): state = .digits
        case .zero where isDigit(byte): return stray()
        case .digits where isDigit(byte): break
        case .zero where byte == UInt8(ascii: "."), .digits where byte == UInt8(ascii: "."):
            state = .point
        // QEMU's monitor takes no exponent after a lone 0.
        case .zero where isExponentSign && dialect == .strict: state = .exponent
        case .digits where isExponentSign, .fraction where isExponentSign: state = .exponent
        case .point where isDigit(byte), .fraction where isDigit(byte): state = .fraction
        case .exponent where byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-"):
            state = .exponentSign
        case .exponent where isDigit(byte), .exponentSign where isDigit(byte),
            .exponentDigits where isDigit(byte):
            state = .exponentDigits
        default:
            guard let kind = kindAtEnd else { return stray() }
            state = .start
            return .tokenBefore(kind)
        }
        return .more
    }

    private mutating func stray() -> Step {
        state = .recovery
        return .stray
    }

    private func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
    }

    /// FE and FF occur in no UTF-8 text: clients send them to force a fresh start.
    private func isStringByte(_ byte: UInt8) -> Bool {
        (0x20...0xFD).contains(byte)
    }

    private func endsRecovery(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "{"), UInt8(ascii: "}"),
            UInt8(ascii: ":"), UInt8(ascii: ","), 0xFE, 0xFF:
            true
        default: byte < 0x20 && byte != 0x09
        }
    }
}
