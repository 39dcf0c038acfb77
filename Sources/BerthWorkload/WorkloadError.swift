/// Why there can't be a writer of guest memory, in words for the operator.
public struct WorkloadError: Error, Sendable, Equatable {
    /// One phrase: what was attempted and what was wrong.
    public let message: String
    /// What to do about it.
    public let hint: String?

    /// Makes an error; see the members.
    public init(_ message: String, hint: String? = nil) {
        self.message = message
        self.hint = hint
    }
}
