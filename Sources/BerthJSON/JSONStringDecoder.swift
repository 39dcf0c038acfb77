/// Takes a string token apart: escapes become characters, UTF-8 is checked.
struct JSONStringDecoder {
    private let text: ArraySlice<UInt8>
    private let dialect: JSONDialect
    private var index: Int
    /// Position of the closing quote.
    private let end: Int

    /// - Parameter text: the token with its two quotes.
    init(_ text: ArraySlice<UInt8>, _ dialect: JSONDialect) {
        self.text = text
        self.dialect = dialect
        index = text.startIndex + 1
        end = text.endIndex - 1
    }

    /// Appends the string's characters to `output`, as valid UTF-8.
    ///
    /// - Throws: the first escape or sequence that stands for no character.
    mutating func decode(into output: inout [UInt8]) throws(JSONGrammar.Violation) {
        while index < end {
            let byte = text[index]
            if byte == UInt8(ascii: "\\") {
                try decodeEscape(into: &output)
            } else if byte < 0x80 {
                output.append(byte)
                index += 1
            } else {
                guard
                    let scalar = UnicodeDecoding.decode(text[..<end], &index, dialect)
                else { throw .init("invalid UTF-8 sequence in string") }
                output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            }
        }
    }

    private mutating func decodeEscape(
        into output: inout [UInt8]
    ) throws(JSONGrammar.Violation) {
        // The lexer ends no token in the middle of an escape, so there is a byte after this one.
        let letter = text[index + 1]
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): output.append(letter)
        case UInt8(ascii: "'") where dialect == .monitor: output.append(letter)
        case UInt8(ascii: "b"): output.append(0x08)
        case UInt8(ascii: "f"): output.append(0x0C)
        case UInt8(ascii: "n"): output.append(0x0A)
        case UInt8(ascii: "r"): output.append(0x0D)
        case UInt8(ascii: "t"): output.append(0x09)
        case UInt8(ascii: "u"):
            let scalar = try decodeCodePoint()
            output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            return
        default: throw .init("invalid escape sequence in string")
        }
        index += 2
    }

    /// Decodes `\uXXXX`, or two of them that form a surrogate pair.
    private mutating func decodeCodePoint() throws(JSONGrammar.Violation) -> Unicode.Scalar {
        let start = index
        let unit = hexNumber(at: start + 2)
        index += 6
        var codePoint = unit
        if let high = unit, UTF16.isLeadSurrogate(high), isUnicodeEscape(at: index) {
            codePoint = nil
            if let low = hexNumber(at: index + 2), UTF16.isTrailSurrogate(low) {
                codePoint = 0x1_0000 + (high & 0x3FF) << 10 + low & 0x3FF
                index += 6
            }
        }
        guard let codePoint, let scalar = Unicode.Scalar(codePoint),
            dialect == .strict || !JSONText.isNoncharacter(codePoint)
        else {
            // Shows what was looked at: a closing quote may be among it, but nothing beyond.
            let shown = UnicodeDecoding.repair(text[start..<min(index, text.endIndex)])
            throw .init("\(shown) is not a valid Unicode character")
        }
        return scalar
    }

    private func isUnicodeEscape(at position: Int) -> Bool {
        position + 1 < end && text[position] == UInt8(ascii: "\\")
            && text[position + 1] == UInt8(ascii: "u")
    }

    /// The number that the four hex digits at `position` spell; nil if they aren't four.
    private func hexNumber(at position: Int) -> UInt32? {
        guard position + 4 <= end else { return nil }
        var number: UInt32 = 0
        for byte in text[position..<position + 4] {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: return nil
            }
            number = number << 4 | UInt32(digit)
        }
        return number
    }
}

extension UTF16 {
    fileprivate static func isLeadSurrogate(_ unit: UInt32) -> Bool { unit & ~0x3FF == 0xD800 }
    fileprivate static func isTrailSurrogate(_ unit: UInt32) -> Bool { unit & ~0x3FF == 0xDC00 }
}
