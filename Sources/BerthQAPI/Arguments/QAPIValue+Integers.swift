public import BerthJSON

extension Int64: QAPIValue {
    /// Checks an integer that a client sent.
    public static func decode(_ value: JSONValue, at place: ArgumentPlace) throws(QMPError) -> Int64
    {
        if place.spelling == .json {
            guard case .integer(let number) = value else {
                throw place.wrongType(expected: "integer")
            }
            return number
        }
        let text = try place.text(value)
        if let digits = IntegerText(text), let magnitude = UInt64(digits: digits) {
            if !digits.isNegative, let number = Int64(exactly: magnitude) { return number }
            if digits.isNegative, magnitude <= Int64.min.magnitude {
                return Int64(truncatingIfNeeded: 0 &- magnitude)
            }
        }
        throw place.expects(place.spelling == .options ? "an int64 value" : "integer")
    }

    /// The value as a client gets it.
    public func toJSON() -> JSONValue { .integer(self) }
}

extension UInt64: QAPIValue {
    /// Checks an integer of 64 bits without sign.
    ///
    /// QEMU lets a negative number wrap around here; we don't, nobody depends on it.
    public static func decode(
        _ value: JSONValue,
        at place: ArgumentPlace
    ) throws(QMPError) -> UInt64 {
        guard place.spelling == .json else {
            let digits = IntegerText(try place.text(value))
            guard let digits, !digits.isNegative, let number = UInt64(digits: digits) else {
                throw place.expects(place.spelling == .options ? "a uint64 value" : "integer")
            }
            return number
        }
        switch value {
        case .unsigned(let number): return number
        case .integer(let number) where number >= 0: return UInt64(number)
        default: throw place.expects("uint64")
        }
    }

    /// The value as a client gets it.
    public func toJSON() -> JSONValue {
        if let number = Int64(exactly: self) { .integer(number) } else { .unsigned(self) }
    }
}

extension FixedWidthInteger {
    /// Checks a number of a type below 64 bits.
    ///
    /// One that is negative is out of range like one that
    /// is too large, and not of the wrong type.
    fileprivate static func decodeNarrow(
        _ value: JSONValue,
        at place: ArgumentPlace,
        type: String
    ) throws(QMPError) -> Self {
        if case .integer(let number) = value, number < 0, place.spelling == .json {
            throw place.outOfRange(type)
        }
        guard let number = Self(exactly: try UInt64.decode(value, at: place)) else {
            throw place.outOfRange(type)
        }
        return number
    }
}

/// Longest range that a list may be given as, as in QEMU: enough for any list of small numbers.
private let rangeLimit: UInt64 = 65536

extension FixedWidthInteger where Self: UnsignedInteger {
    fileprivate static func expandRange(
        _ text: String,
        at place: ArgumentPlace
    ) throws(QMPError) -> [JSONValue] {
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = UInt64(cText: String(parts[0])),
            let last = parts.count == 1 ? first : UInt64(cText: String(parts[1])),
            first <= last, last - first < rangeLimit
        else { throw place.expects("a uint64 value or range") }
        return (first...last).map { .string(String($0)) }
    }
}

extension UInt8: QAPIValue {
    /// Checks an integer of 8 bits that a client sent.
    public static func decode(_ value: JSONValue, at place: ArgumentPlace) throws(QMPError) -> UInt8
    {
        try decodeNarrow(value, at: place, type: "uint8_t")
    }

    /// The numbers of a range.
    public static func expand(
        _ text: String,
        at place: ArgumentPlace
    ) throws(QMPError) -> [JSONValue]? {
        try expandRange(text, at: place)
    }

    /// The value as a client gets it.
    public func toJSON() -> JSONValue { .integer(Int64(self)) }
}

extension UInt16: QAPIValue {
    /// Checks an integer of 16 bits that a client sent.
    public static func decode(
        _ value: JSONValue,
        at place: ArgumentPlace
    ) throws(QMPError) -> UInt16 {
        try decodeNarrow(value, at: place, type: "uint16_t")
    }

    /// The numbers of a range.
    public static func expand(
        _ text: String,
        at place: ArgumentPlace
    ) throws(QMPError) -> [JSONValue]? {
        try expandRange(text, at: place)
    }

    /// The value as a client gets it.
    public func toJSON() -> JSONValue { .integer(Int64(self)) }
}

extension UInt32: QAPIValue {
    /// Checks an integer of 32 bits that a client sent.
    public static func decode(
        _ value: JSONValue,
        at place: ArgumentPlace
    ) throws(QMPError) -> UInt32 {
        try decodeNarrow(value, at: place, type: "uint32_t")
    }

    /// The numbers of a range.
    public static func expand(
        _ text: String,
        at place: ArgumentPlace
    ) throws(QMPError) -> [JSONValue]? {
        try expandRange(text, at: place)
    }

    /// The value as a client gets it.
    public func toJSON() -> JSONValue { .integer(Int64(self)) }
}
