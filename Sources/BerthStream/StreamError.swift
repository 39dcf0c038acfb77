public import BerthTransport
public import BerthWire

/// What went wrong with a migration stream, and where.
public struct StreamError: Error, Sendable, Equatable {
    /// The kinds of failure that callers tell apart.
    public enum Code: Sendable, Equatable {
        /// The stream ended where more had to come.
        case truncated
        /// A byte sequence that no sender writes.
        case malformed
        /// Well-formed, but not for this guest: machine, block, capability, section.
        case mismatch
        /// A claim beyond what Berth takes; nothing was allocated for it.
        case limitExceeded
        /// Well-formed, but Berth doesn't handle it.
        case unsupported
        /// The channel failed: disk full, connection lost, child dead.
        case transport
        /// Somebody cancelled the work.
        case aborted
    }

    /// The kind of failure.
    public let code: Code
    /// One phrase: what was wrong.
    ///
    /// Lower case, no full stop.
    public let message: String
    /// Offset in the stream (in the file, for a file) at which it was noticed.
    public let offset: UInt64?
    /// What to do about it, if that isn't obvious.
    public let hint: String?

    /// Makes an error; see the members.
    public init(_ code: Code, _ message: String, at offset: UInt64? = nil, hint: String? = nil) {
        self.code = code
        self.message = message
        self.offset = offset
        self.hint = hint
    }

    /// The same failure, told of a part of what failed.
    func prefixed(_ part: String) -> StreamError {
        StreamError(code, "\(part): \(message)", at: offset, hint: hint)
    }

    /// The same failure as a channel reports it.
    public init(_ error: TransportError) {
        self.init(
            error.isAborted ? .aborted : .transport,
            error.description,
            hint: error.hint
        )
    }

    /// The same failure as a codec reports it.
    public init(_ error: WireError) {
        var hint: String?
        if case .badMagic(_, _, UInt64(StreamHeader.magic), let found) = error {
            // `MappedWriter` writes the header last.
            hint =
                found == 0
                ? "a mapped-ram image without its header is of a save that was cut off"
                : "what came is neither a migration stream nor an image of one"
        }
        self.init(error.streamCode, error.what, at: error.offset, hint: hint)
    }
}

extension StreamError: CustomStringConvertible {
    /// The message, followed by the offset where there is one.
    public var description: String {
        guard let offset else { return message }
        return "\(message) (at offset 0x\(String(offset, radix: 16)))"
    }
}

extension WireError {
    fileprivate var streamCode: StreamError.Code {
        switch self {
        case .truncated: .truncated
        case .limitExceeded: .limitExceeded
        default: .malformed
        }
    }
}
