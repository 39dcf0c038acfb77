/// A JSON value as QEMU's monitors know it.
///
/// Numbers keep the distinction that QAPI makes: an integer token that fits 64 bits stays an
/// integer, everything else is a double.
public enum JSONValue: Sendable, Equatable {
    /// The literal `null`, which is not the same as an absent member.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// An integer from -2^63 to 2^63 - 1.
    case integer(Int64)
    /// An integer from 2^63 to 2^64 - 1; smaller ones are `integer`.
    case unsigned(UInt64)
    /// Any other number.
    case double(Double)
    /// Text; may contain U+0000.
    case string(String)
    /// An ordered list.
    case array([JSONValue])
    /// Named members.
    case object(JSONObject)

    /// An unsigned number, as the case that belongs to its magnitude.
    ///
    /// - Parameter value: any 64-bit number.
    public init(_ value: UInt64) {
        if let signed = Int64(exactly: value) {
            self = .integer(signed)
        } else {
            self = .unsigned(value)
        }
    }

    /// A signed number.
    ///
    /// - Parameter value: any 64-bit number.
    public init(_ value: Int64) {
        self = .integer(value)
    }

    /// A number of the machine's word size, such as a count.
    ///
    /// - Parameter value: any number.
    public init(_ value: Int) {
        self = .integer(Int64(value))
    }
}

extension JSONValue {
    /// The text of a string; `nil` for every other kind.
    public var stringValue: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The truth value; `nil` for every other kind.
    public var boolValue: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The number as a signed integer; `nil` for doubles, larger numbers and every other kind.
    public var int64Value: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    /// The number as an unsigned integer; `nil` for doubles, negative numbers and other kinds.
    public var uint64Value: UInt64? {
        switch self {
        case .integer(let value): UInt64(exactly: value)
        case .unsigned(let value): value
        default: nil
        }
    }

    /// Any number as a double; `nil` for every other kind.
    public var doubleValue: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .unsigned(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    /// The elements of an array; `nil` for every other kind.
    public var arrayValue: [JSONValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    /// The members of an object; `nil` for every other kind.
    public var objectValue: JSONObject? {
        if case .object(let members) = self { members } else { nil }
    }

    /// A member of an object; `nil` if there is none, or this is no object.
    ///
    /// - Parameter key: the member's name.
    public subscript(_ key: String) -> JSONValue? {
        objectValue?[key]
    }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// The literal `null`.
    public init(nilLiteral: ()) {
        self = .null
    }

    /// A truth value written in the source.
    public init(booleanLiteral value: Bool) {
        self = .bool(value)
    }

    /// A number written in the source.
    public init(integerLiteral value: Int64) {
        self = .integer(value)
    }

    /// A number with a fraction written in the source.
    public init(floatLiteral value: Double) {
        self = .double(value)
    }

    /// Text written in the source.
    public init(stringLiteral value: String) {
        self = .string(value)
    }

    /// A list written in the source.
    public init(arrayLiteral elements: JSONValue...) {
        self = .array(elements)
    }

    /// An object written in the source; a repeated key replaces the earlier value.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(elements))
    }
}
