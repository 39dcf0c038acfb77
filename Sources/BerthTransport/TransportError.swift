public import BerthSystem
internal import Glibc
internal import SystemPackage

/// Something about a migration's transport that failed or cannot be.
public struct TransportError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was attempted, so that "cannot `operation` 'address'" is a sentence: `connect to`.
    public let operation: String
    /// The address as the user wrote it; empty if there is none yet.
    public let address: String
    /// What was wrong: lower case, no newline, no final stop.
    public let reason: String
    /// The system call behind it, if one failed.
    public let cause: SystemCallError?
    /// What the user can do about it, if that is known.
    public let hint: String?
    /// The operation didn't fail: it was ended by `abort()`.
    public let isAborted: Bool
    /// A program that the bytes go through failed; `reason` is what it said.
    public private(set) var isProgramFailure = false

    /// Describes a failure that is no system call's.
    public init(_ operation: String, _ address: String, reason: String, hint: String? = nil) {
        self.operation = operation
        self.address = address
        self.reason = reason
        self.hint = hint
        cause = nil
        isAborted = false
    }

    /// Describes a system call's failure.
    public init(
        _ operation: String,
        _ address: String,
        cause: SystemCallError,
        hint: String? = nil
    ) {
        self.operation = operation
        self.address = address
        self.cause = cause
        self.hint = hint ?? Self.hint(for: cause.errno, operation)
        reason = Self.lowerCased(cause.reason)
        isAborted = false
    }

    private init(abortedWhile operation: String, _ address: String) {
        self.operation = operation
        self.address = address
        reason = "aborted"
        cause = nil
        hint = nil
        isAborted = true
    }

    /// The error of an operation that `abort()` ended.
    public static func aborted(_ operation: String, _ address: String) -> TransportError {
        TransportError(abortedWhile: operation, address)
    }

    /// The failure of a program that the bytes go through.
    static func ofProgram(
        _ operation: String,
        _ address: String,
        reason: String
    ) -> TransportError {
        var error = TransportError(operation, address, reason: reason)
        error.isProgramFailure = true
        return error
    }

    /// One phrase: `cannot connect to 'tcp:host:4444': connection refused`.
    public var description: String { "cannot \(operation) '\(address)': \(reason)" }

    /// Error texts of libc begin with a capital; within a phrase they must not, unless the whole
    /// word is in capitals.
    static func lowerCased(_ text: String) -> String {
        let second = text.dropFirst().first
        guard let first = text.first, second?.isUppercase != true else { return text }
        return first.lowercased() + text.dropFirst()
    }

    private static func hint(for errno: Errno, _ operation: String) -> String? {
        switch errno.rawValue {
        case ECONNREFUSED:
            "start the destination with migrate-incoming on this address, or check the firewall"
        case EADDRINUSE:
            "choose another address, or for tcp give a range of ports with ',to=PORT'"
        case ENOSPC, EDQUOT:
            "free some space there or save elsewhere; nothing of what was written is a whole image"
        case EFBIG:
            "the file would be larger than its file system or the process's limit allows"
        case EPIPE where operation == "write to", ECONNRESET:
            "the other side has gone: its own messages say why"
        case EMFILE, ENFILE:
            "raise the limit on open files"
        default:
            nil
        }
    }
}
