/// The parts of an integer as C's `strtol` with base 0 reads it: sign, base, digits.
struct IntegerText {
    let isNegative: Bool
    let radix: Int
    let digits: Substring

    /// - Returns: nil if the text isn't made like an integer.
    init?(_ text: String) {
        var rest = Substring(text)
        isNegative = rest.first == "-"
        if isNegative || rest.first == "+" { rest.removeFirst() }
        if rest.hasPrefix("0x") || rest.hasPrefix("0X") {
            radix = 16
            rest = rest.dropFirst(2)
        } else if rest.count > 1, rest.first == "0" {
            radix = 8
            rest.removeFirst()
        } else {
            radix = 10
        }
        // The initializers of the integer types would take a second sign.
        guard let first = rest.first, first.isHexDigit else { return nil }
        digits = rest
    }
}

extension UInt64 {
    /// The number without its sign; nil if it has other characters than digits, or too many.
    init?(digits: IntegerText) {
        self.init(digits.digits, radix: digits.radix)
    }
}

extension UInt64 {
    /// Reads a number without sign as C's `strtoull` with base 0 does: `10`, `0x10`, `010`.
    public init?(cText: String) {
        guard let parts = IntegerText(cText), !parts.isNegative else { return nil }
        self.init(digits: parts)
    }
}
