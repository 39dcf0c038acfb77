/// Sizes as people write them: `4096`, `0x1000`, `64k`, `1.5G`.
public enum SizeText {
    /// Reads a size.
    ///
    /// A decimal number may have a suffix of one letter, in either case: B, or K, M, G, T, P, E for
    /// powers of 1024; with K and above it may have a fraction. A hexadecimal number has neither.
    ///
    /// - Parameters:
    ///   - text: all of it must belong to the size.
    ///   - unit: what a number without suffix counts, in bytes.
    /// - Returns: bytes; nil if the text isn't a size, or one that doesn't fit 64 bits.
    public static func parse(_ text: String, unit: UInt64 = 1) -> UInt64? {
        let bytes = Array(text.utf8)
        if bytes.starts(with: [UInt8(ascii: "0"), UInt8(ascii: "x")])
            || bytes.starts(with: [UInt8(ascii: "0"), UInt8(ascii: "X")])
        {
            guard bytes.count > 2, bytes[2...].allSatisfy(isHexDigit),
                let number = UInt64(text.dropFirst(2), radix: 16)
            else { return nil }
            return product(number, unit)
        }
        let whole = bytes.prefix(while: isDigit)
        guard !whole.isEmpty, let number = UInt64(String(decoding: whole, as: UTF8.self)) else {
            return nil
        }
        var rest = bytes[whole.endIndex...]
        var fraction = 0.0
        if rest.first == UInt8(ascii: ".") {
            let digits = rest.dropFirst().prefix(while: isDigit)
            rest = rest[digits.endIndex...]
            fraction = Double("0." + String(decoding: digits, as: UTF8.self) + "0") ?? 0
        }
        var multiplier = unit
        if let letter = rest.first {
            guard rest.count == 1, let power = power(letter) else { return nil }
            multiplier = 1 << (10 * UInt64(power))
        }
        let hasPoint = whole.endIndex < bytes.count && bytes[whole.endIndex] == UInt8(ascii: ".")
        // Half a byte is nobody's intention, and neither is a fraction of an unnamed unit.
        guard !hasPoint || (fraction == 0 || (multiplier > 1 && !rest.isEmpty)) else { return nil }
        guard let base = product(number, multiplier) else { return nil }
        // At most one multiplier, so that this fits; rounded to the nearest byte.
        let part = UInt64((fraction * Double(multiplier)).rounded())
        let (sum, overflow) = base.addingReportingOverflow(part)
        return overflow ? nil : sum
    }

    private static func product(_ number: UInt64, _ multiplier: UInt64) -> UInt64? {
        let (result, overflow) = number.multipliedReportingOverflow(by: multiplier)
        return overflow ? nil : result
    }

    /// Which power of 1024 a suffix stands for.
    private static func power(_ letter: UInt8) -> Int? {
        switch letter | 0x20 {
        case UInt8(ascii: "b"): 0
        case UInt8(ascii: "k"): 1
        case UInt8(ascii: "m"): 2
        case UInt8(ascii: "g"): 3
        case UInt8(ascii: "t"): 4
        case UInt8(ascii: "p"): 5
        case UInt8(ascii: "e"): 6
        default: nil
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (97...102).contains(byte | 0x20)
    }
}
