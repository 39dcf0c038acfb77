/// Why a text isn't the JSON that was expected.
public enum JSONError: Error, Sendable, Equatable {
    /// The text breaks the grammar.
    ///
    /// `reason` is one phrase; `offset` is in bytes from the start of the text.
    case syntax(reason: String, offset: Int)
    /// Arrays and objects are nested deeper than allowed.
    case tooDeep(limit: Int)
    /// The text has more bytes than allowed.
    case tooLong(limit: Int)
    /// The text has more words, numbers, strings and punctuation marks than allowed.
    case tooManyTokens(limit: Int)
    /// A text in the monitor's dialect is wrong; the description is QEMU's own.
    case text(String)
}

extension JSONError: CustomStringConvertible {
    /// One phrase that says what is wrong, with the limit or the place.
    public var description: String {
        switch self {
        case .syntax(let reason, let offset): "\(reason) at byte \(offset)"
        case .tooDeep(let limit): "JSON text is nested deeper than \(limit) levels"
        case .tooLong(let limit): "JSON text is longer than \(limit) bytes"
        case .tooManyTokens(let limit): "JSON text has more than \(limit) tokens"
        case .text(let description): description
        }
    }
}
