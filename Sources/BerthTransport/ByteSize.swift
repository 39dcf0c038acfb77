/// A number of bytes as users write it.
enum ByteSize {
    /// Reads a size: decimal, hex with `0x`, or decimal with one suffix letter.
    ///
    /// The suffixes are b, k, m, g, t, p, e in either case, powers of 1024. With k and up the
    /// number may have a fraction, whose bytes are rounded down. Origin: the grammar of `offset=`
    /// in QEMU 10.0.
    ///
    /// - Returns: `nil` if the text isn't a size, or is 2^64 and more.
    static func parse(_ text: Substring) -> UInt64? {
        if text.hasPrefix("0x") || text.hasPrefix("0X") {
            let digits = text.dropFirst(2)
            // UInt64(_:radix:) would take a sign.
            guard digits.allSatisfy(\.isHexDigit) else { return nil }
            return UInt64(digits, radix: 16)
        }
        let whole = text.prefix(while: isDigit)
        var rest = text[whole.endIndex...]
        var fraction: Substring?
        if rest.first == "." {
            let digits = rest.dropFirst().prefix(while: isDigit)
            fraction = digits
            rest = rest[digits.endIndex...]
            guard !whole.isEmpty || !digits.isEmpty else { return nil }
        } else {
            guard !whole.isEmpty else { return nil }
        }
        guard rest.utf8.count <= 1, let scale = scale(rest.first) else { return nil }
        guard fraction == nil || scale > 1 else { return nil }
        guard let number = whole.isEmpty ? 0 : UInt64(whole) else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: scale)
        let (sum, carry) = bytes.addingReportingOverflow(part(fraction ?? "", of: scale))
        return overflow || carry ? nil : sum
    }

    private static func isDigit(_ character: Character) -> Bool {
        character.isASCII && character.isWholeNumber
    }

    private static func scale(_ suffix: Character?) -> UInt64? {
        switch suffix {
        case nil, "b", "B": 1
        case "k", "K": 1 << 10
        case "m", "M": 1 << 20
        case "g", "G": 1 << 30
        case "t", "T": 1 << 40
        case "p", "P": 1 << 50
        case "e", "E": 1 << 60
        default: nil
        }
    }

    /// `0.digits` of `scale`, rounded down; digits past the 18th can't change a byte count by one.
    private static func part(_ digits: Substring, of scale: UInt64) -> UInt64 {
        let kept = digits.prefix(18)
        guard let numerator = UInt64(kept) else { return 0 }
        let denominator = kept.reduce(into: UInt64(1)) { power, _ in power *= 10 }
        return denominator.dividingFullWidth(numerator.multipliedFullWidth(by: scale)).quotient
    }
}
