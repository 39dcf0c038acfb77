extension HMPLexer {
    /// How deep parentheses and signs may nest: more than anybody writes, and little stack.
    private static let depthLimit = 32

    /// Takes an integer expression: C's operators, but `+` and `-` bind weakest, then `&`, `|` and
    /// `^`, then `*`, `/` and `%`.
    ///
    /// Arithmetic wraps around at 64 bits.
    mutating func expression() throws(HMPSyntaxError) -> Int64 {
        try sum(depth: 0)
    }

    private mutating func sum(depth: Int) throws(HMPSyntaxError) -> Int64 {
        var value = try bits(depth: depth)
        while let sign = next {
            switch sign {
            case UInt8(ascii: "+"):
                skip()
                value &+= try bits(depth: depth)
            case UInt8(ascii: "-"):
                skip()
                value &-= try bits(depth: depth)
            default: return value
            }
        }
        return value
    }

    private mutating func bits(depth: Int) throws(HMPSyntaxError) -> Int64 {
        var value = try product(depth: depth)
        while let sign = next {
            switch sign {
            case UInt8(ascii: "&"):
                skip()
                value &= try product(depth: depth)
            case UInt8(ascii: "|"):
                skip()
                value |= try product(depth: depth)
            case UInt8(ascii: "^"):
                skip()
                value ^= try product(depth: depth)
            default: return value
            }
        }
        return value
    }

    private mutating func product(depth: Int) throws(HMPSyntaxError) -> Int64 {
        var value = try term(depth: depth)
        while let sign = next {
            switch sign {
            case UInt8(ascii: "*"):
                skip()
                value &*= try term(depth: depth)
            case UInt8(ascii: "/"), UInt8(ascii: "%"):
                skip()
                let divisor = try term(depth: depth)
                guard divisor != 0 else { throw HMPSyntaxError("division by zero") }
                value =
                    sign == UInt8(ascii: "/")
                    ? value.dividedReportingOverflow(by: divisor).partialValue
                    : value.remainderReportingOverflow(dividingBy: divisor).partialValue
            default: return value
            }
        }
        return value
    }

    private mutating func term(depth: Int) throws(HMPSyntaxError) -> Int64 {
        guard depth < Self.depthLimit else {
            throw HMPSyntaxError("expression nests more than \(Self.depthLimit) levels deep")
        }
        skipBlanks()
        guard let first = next else { throw HMPSyntaxError("unexpected end of expression") }
        let value: Int64
        switch first {
        case UInt8(ascii: "+"):
            skip()
            value = try term(depth: depth + 1)
        case UInt8(ascii: "-"):
            skip()
            value = 0 &- (try term(depth: depth + 1))
        case UInt8(ascii: "~"):
            skip()
            value = ~(try term(depth: depth + 1))
        case UInt8(ascii: "("):
            skip()
            value = try sum(depth: depth + 1)
            guard next == UInt8(ascii: ")") else { throw HMPSyntaxError("')' expected") }
            skip()
        case UInt8(ascii: "'"): value = try character()
        case UInt8(ascii: "$"): throw HMPSyntaxError("unknown register")
        default: value = try number()
        }
        skipBlanks()
        return value
    }

    private mutating func character() throws(HMPSyntaxError) -> Int64 {
        skip()
        guard let byte = next else { throw HMPSyntaxError("character constant expected") }
        skip()
        guard next == UInt8(ascii: "'") else {
            throw HMPSyntaxError("missing terminating ' character")
        }
        skip()
        return Int64(byte)
    }

    /// A number as C's `strtoull` with base 0 reads it.
    private mutating func number() throws(HMPSyntaxError) -> Int64 {
        let start = offset
        var digits = run { !Self.isDigit($0) }
        var radix = 10
        if digits == "0", let letter = next, letter | 0x20 == UInt8(ascii: "x") {
            skip()
            digits = run { !Self.isHexDigit($0) }
            radix = 16
        } else if digits.utf8.count > 1, digits.utf8.first == UInt8(ascii: "0") {
            radix = 8
        }
        guard !digits.isEmpty else {
            rewind(to: start)
            let shown = next.map { Character(UnicodeScalar($0)) } ?? " "
            throw HMPSyntaxError("invalid char '\(shown)' in expression")
        }
        guard let value = UInt64(digits, radix: radix) else {
            throw HMPSyntaxError("number too large or not a number: \(digits)")
        }
        return Int64(bitPattern: value)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (97...102).contains(byte | 0x20)
    }
}
