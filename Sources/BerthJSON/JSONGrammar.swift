/// Checks that tokens form one value, and writes that value as plain RFC 8259 text for json-c.
///
/// In that text strings have double quotes, characters are UTF-8, `\u0000` is the only escape
/// besides the short ones, and integers that fit no 64 bits are spelled as doubles.
struct JSONGrammar {
    /// What the tokens violate, in the monitor's words.
    struct Violation: Error {
        let reason: String
        /// Byte of the input at which it shows; set where the token is known.
        var inputOffset = 0
        /// There are too few tokens.
        var isPremature = false

        init(_ reason: String) {
            self.reason = reason
        }
    }

    /// In keys, json-c cannot hold U+0000: this byte and a letter stand for it, and for itself.
    static let keyEscape: UInt8 = 0x01
    static let keyEscapedNUL = UInt8(ascii: "0")
    static let keyEscapedEscape = UInt8(ascii: "1")

    private let source: JSONTokens
    private let dialect: JSONDialect
    private var position = 0
    private var depth = 0
    /// Decoded bytes of the string at hand.
    private var characters: [UInt8] = []

    /// The value's text, once `checkDocument` has returned; ends with a NUL, at which json-c takes a
    /// number for complete.
    private(set) var output: [UInt8] = []
    /// Objects and arrays inside one another.
    private(set) var deepest = 0

    init(_ source: JSONTokens, _ dialect: JSONDialect) {
        self.source = source
        self.dialect = dialect
        output.reserveCapacity(source.text.count + source.text.count / 8)
    }

    /// Checks the one value that the tokens form.
    ///
    /// - Throws: the first violation.
    mutating func checkDocument() throws(Violation) {
        try checkValue()
        output.append(0)
    }

    private mutating func checkValue() throws(Violation) {
        let token = try next()
        switch token.kind {
        case .openBrace: try nested { (grammar) throws(Violation) in try grammar.checkObject() }
        case .openBracket: try nested { (grammar) throws(Violation) in try grammar.checkArray() }
        case .string:
            try decode(token)
            appendString()
        case .integer:
            output.append(contentsOf: bytes(of: token))
            // json-c would silently take the nearest integer.
            if !fits64Bits(bytes(of: token)) { output.append(contentsOf: ".0".utf8) }
        case .float: output.append(contentsOf: bytes(of: token))
        case .keyword: try checkKeyword(token)
        case .closeBrace, .closeBracket, .comma, .colon:
            throw violation("expecting value", at: token)
        }
    }

    private mutating func nested(
        _ body: (inout JSONGrammar) throws(Violation) -> Void
    ) throws(Violation) {
        depth += 1
        deepest = max(deepest, depth)
        try body(&self)
        depth -= 1
    }

    private mutating func checkObject() throws(Violation) {
        var keys = SeenKeys()
        output.append(UInt8(ascii: "{"))
        if try peek().kind == .closeBrace {
            position += 1
        } else {
            while true {
                try checkMember(&keys)
                let separator = try next()
                if separator.kind == .closeBrace { break }
                guard separator.kind == .comma else {
                    throw violation("expected separator in dict", at: separator)
                }
                output.append(UInt8(ascii: ","))
            }
        }
        output.append(UInt8(ascii: "}"))
    }

    private mutating func checkMember(_ keys: inout SeenKeys) throws(Violation) {
        let keyToken = try peek()
        guard keyToken.kind == .string else {
            // A key that is no value at all is reported as such, before its being no string is.
            try checkValue()
            throw violation("key is not a string in object", at: keyToken)
        }
        position += 1
        try decode(keyToken)
        let key = characters
        appendString(isKey: true)
        let colon = try next()
        guard colon.kind == .colon else { throw violation("missing : in object pair", at: colon) }
        output.append(UInt8(ascii: ":"))
        try checkValue()
        if dialect == .monitor && !keys.insert(key) {
            throw violation("duplicate key", at: keyToken)
        }
    }

    private mutating func checkArray() throws(Violation) {
        output.append(UInt8(ascii: "["))
        if try peek().kind == .closeBracket {
            position += 1
        } else {
            while true {
                try checkValue()
                let separator = try next()
                if separator.kind == .closeBracket { break }
                guard separator.kind == .comma else {
                    throw violation("expected separator in list", at: separator)
                }
                output.append(UInt8(ascii: ","))
            }
        }
        output.append(UInt8(ascii: "]"))
    }

    private mutating func checkKeyword(_ token: JSONToken) throws(Violation) {
        let word = String(decoding: bytes(of: token), as: UTF8.self)
        guard word == "true" || word == "false" || word == "null" else {
            throw violation("invalid keyword '\(word)'", at: token)
        }
        output.append(contentsOf: word.utf8)
    }

    // MARK: Tokens

    private func peek() throws(Violation) -> JSONToken {
        guard position < source.tokens.count else {
            var violation = Violation("premature EOI")
            violation.inputOffset = source.currentOffset
            violation.isPremature = true
            throw violation
        }
        return source.tokens[position]
    }

    private mutating func next() throws(Violation) -> JSONToken {
        let token = try peek()
        position += 1
        return token
    }

    private func bytes(of token: JSONToken) -> ArraySlice<UInt8> {
        source.text[token.start..<token.start + token.byteCount]
    }

    private func violation(_ reason: String, at token: JSONToken) -> Violation {
        var violation = Violation(reason)
        violation.inputOffset = token.inputOffset
        return violation
    }

    // MARK: Scalars

    private mutating func decode(_ token: JSONToken) throws(Violation) {
        characters.removeAll(keepingCapacity: true)
        var decoder = JSONStringDecoder(bytes(of: token), dialect)
        do {
            try decoder.decode(into: &characters)
        } catch {
            throw violation(error.reason, at: token)
        }
    }

    /// Writes `characters` with the escapes that json-c needs.
    private mutating func appendString(isKey: Bool = false) {
        output.append(UInt8(ascii: "\""))
        for byte in characters {
            switch byte {
            case 0 where isKey:
                appendControl(Self.keyEscape)
                output.append(Self.keyEscapedNUL)
            case Self.keyEscape where isKey:
                appendControl(Self.keyEscape)
                output.append(Self.keyEscapedEscape)
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                output.append(UInt8(ascii: "\\"))
                output.append(byte)
            case 0..<0x20: appendControl(byte)
            default: output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }

    private mutating func appendControl(_ byte: UInt8) {
        let digits = Array("0123456789abcdef".utf8)
        output.append(contentsOf: "\\u00".utf8)
        output.append(digits[Int(byte >> 4)])
        output.append(digits[Int(byte & 0xF)])
    }

    /// Whether an integer token is at least -2^63 and at most 2^64 - 1.
    private func fits64Bits(_ digits: ArraySlice<UInt8>) -> Bool {
        let isNegative = digits.first == UInt8(ascii: "-")
        var magnitude: UInt64 = 0
        for digit in isNegative ? digits.dropFirst() : digits {
            let (product, overflows) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, carries) = product.addingReportingOverflow(UInt64(digit & 0xF))
            guard !overflows && !carries else { return false }
            magnitude = sum
        }
        return !isNegative || magnitude <= UInt64(Int64.max) + 1
    }
}

/// The keys of one object so far; compares few, hashes many.
private struct SeenKeys {
    /// From this many keys on hashing pays.
    private static let hashingThreshold = 16
    private var list: [[UInt8]] = []
    private var set: Set<[UInt8]> = []

    /// - Returns: false if the key has been there before.
    mutating func insert(_ key: [UInt8]) -> Bool {
        guard set.isEmpty else { return set.insert(key).inserted }
        guard !list.contains(key) else { return false }
        list.append(key)
        if list.count > Self.hashingThreshold { set = Set(list) }
        return true
    }
}
