public import BerthStream
public import BerthTransport

/// Why a migration was refused or failed, in words for the operator.
public struct MigrationError: Error, Sendable, Equatable {
    /// One phrase: what was attempted and what was wrong.
    ///
    /// Lower case, no full stop.
    public let message: String
    /// What to do about it, if that isn't obvious.
    public let hint: String?

    /// Makes an error; see the members.
    public init(_ message: String, hint: String? = nil) {
        self.message = message
        self.hint = hint
    }

    /// What was wrong and what to do, for where there is room for one text only.
    public var sentence: String {
        hint.map { "\(message); \($0)" } ?? message
    }

    /// The failure of a stream, after `context` ("saving to 'file:/x'").
    public init(_ error: StreamError, during context: String) {
        self.init("\(context): \(error)", hint: error.hint)
    }

    /// The failure of a transport.
    public init(_ error: TransportError) {
        self.init(error.description, hint: error.hint)
    }
}
