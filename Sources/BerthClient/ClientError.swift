/// Why a monitor cannot be used.
public struct ClientError: Error, Sendable, Equatable {
    /// What is to become of the session.
    public enum Kind: Sendable, Equatable {
        /// The line was wrong, and nothing was sent: the session goes on.
        case badLine
        /// The other side has gone, or makes no sense: the session is over.
        case broken
    }

    /// Whether the session goes on.
    public var kind: Kind
    /// What was attempted and what was wrong, one phrase.
    public var message: String
    /// What to do, if there is anything.
    public var hint: String?

    /// Makes an error that ends the session.
    public static func broken(_ message: String, hint: String? = nil) -> ClientError {
        ClientError(kind: .broken, message: message, hint: hint)
    }

    /// Makes an error of a line that wasn't sent.
    public static func badLine(_ message: String, hint: String? = nil) -> ClientError {
        ClientError(kind: .badLine, message: message, hint: hint)
    }
}
