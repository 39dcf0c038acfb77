public import BerthStream
public import BerthTransport

/// Why an image could not be written, read or sent.
public struct ImageError: Error, Sendable, Equatable, CustomStringConvertible {
    /// One phrase: what was attempted and what was wrong.
    ///
    /// Lower case, no full stop.
    public let description: String
    /// What to do about it, if that isn't obvious.
    public let hint: String?
    /// Where in the file it was noticed, or in the stream if that is compressed; nil if nowhere.
    public let offset: UInt64?

    /// What was wrong with the stream, if that was it.
    public let cause: StreamError?
    /// What the program said that packs or unpacks the stream, if it failed: `zstd: ...`.
    public private(set) var programFailure: String?
    /// The program that would be needed to unpack the stream, if it isn't there.
    public private(set) var missingProgram: String?

    /// Makes an error; see the members.
    public init(
        _ description: String,
        hint: String? = nil,
        offset: UInt64? = nil,
        cause: StreamError? = nil
    ) {
        self.description = description
        self.hint = hint
        self.offset = offset
        self.cause = cause
    }

    /// The failure of a stream during `attempt`.
    public init(_ error: StreamError, during attempt: String) {
        self.init("\(attempt): \(error)", hint: error.hint, offset: error.offset, cause: error)
    }

    /// The failure of a transport.
    public init(_ error: TransportError) {
        self.init(error.description, hint: error.hint)
        if error.isProgramFailure { programFailure = error.reason }
    }

    /// There is no program to unpack an image.
    static func missing(_ program: String, for path: String) -> ImageError {
        var error = ImageError(
            "cannot read '\(path)': \(program) is missing",
            hint: "install it"
        )
        error.missingProgram = program
        return error
    }
}
