/// Why bytes of a stream or an image are not what the format says.
///
/// Each case names the field and the offset of its first byte in the whole stream (`WireCursor.base`
/// plus the index in the decoded span), so that a message leads to the byte with any hex viewer.
/// `.truncated` is also how a decoder asks for more input: read until the span holds `needed` bytes
/// and decode again from the same cursor.
public enum WireError: Error, Equatable, Sendable {
    /// The span ends within the field.
    ///
    /// `needed` counts bytes from the span's start: the least that the span must hold before this
    /// field can be decoded. More can be needed after it.
    case truncated(field: String, offset: UInt64, needed: Int)

    /// A fixed value that marks the place of a structure is not there.
    case badMagic(field: String, offset: UInt64, expected: UInt64, found: UInt64)

    /// A structure's version is outside of what Berth understands.
    case unsupportedVersion(
        field: String,
        offset: UInt64,
        supported: ClosedRange<UInt32>,
        found: UInt32
    )

    /// A count or a length is above its limit (see `Limits`); nothing was allocated for it.
    case limitExceeded(field: String, offset: UInt64, limit: UInt64, found: UInt64)

    /// A selector (element type, command, flag, subsection name) that Berth does not know.
    ///
    /// `found` is printable: a hexadecimal number or a quoted name.
    case unknownKind(field: String, offset: UInt64, found: String)

    /// A value that the format forbids at this place; `expected` says what would be right.
    case invalidValue(field: String, offset: UInt64, expected: String, found: String)
}

extension WireError {
    /// Name of the field that could not be decoded.
    public var field: String {
        switch self {
        case .truncated(let field, _, _),
            .badMagic(let field, _, _, _),
            .unsupportedVersion(let field, _, _, _),
            .limitExceeded(let field, _, _, _),
            .unknownKind(let field, _, _),
            .invalidValue(let field, _, _, _):
            return field
        }
    }

    /// Offset in the whole stream of the field's first byte.
    public var offset: UInt64 {
        switch self {
        case .truncated(_, let offset, _),
            .badMagic(_, let offset, _, _),
            .unsupportedVersion(_, let offset, _, _),
            .limitExceeded(_, let offset, _, _),
            .unknownKind(_, let offset, _),
            .invalidValue(_, let offset, _, _):
            return offset
        }
    }
}

extension WireError: CustomStringConvertible {
    /// One phrase for people: field, place, what was expected and what was found.
    public var description: String { text(place: " at offset \(hexadecimal(offset))") }

    /// The same without the place, for who tells that apart.
    public var what: String { text(place: "") }

    private func text(place: String) -> String {
        switch self {
        case .truncated(let field, _, _):
            "data ends within \(field)\(place)"
        case .badMagic(let field, _, let expected, let found):
            "\(field)\(place): expected \(hexadecimal(expected)), found \(hexadecimal(found))"
        case .unsupportedVersion(let field, _, let supported, let found):
            "\(field)\(place): version \(found) is not supported, \(text(of: supported))"
        case .limitExceeded(let field, _, let limit, let found):
            "\(field)\(place): \(found) is above the limit of \(limit)"
        case .unknownKind(let field, _, let found):
            "unknown \(field) \(found)\(place)"
        case .invalidValue(let field, _, let expected, let found):
            "\(field)\(place): expected \(expected), found \(found)"
        }
    }

    private func text(of versions: ClosedRange<UInt32>) -> String {
        if versions.lowerBound == versions.upperBound {
            return "only \(versions.lowerBound) is"
        }
        return "\(versions.lowerBound) to \(versions.upperBound) are"
    }
}

/// The number in the form that messages use: `0x1f`, lower case, no leading zeros.
func hexadecimal(_ value: some UnsignedInteger) -> String {
    "0x" + String(value, radix: 16)
}
