internal import Glibc
public import SystemPackage

/// A system call that failed: what was called, on what, and why.
///
/// The phrase is built from its parts only when somebody reads it, so that a failing call on a busy
/// path costs no more than its three members.
public struct SystemCallError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The call, by the name of its manual page: `open`, `connect`.
    public let call: String
    /// What it was applied to, as the user would recognise it: a path, an address, `fd 7`.
    public let operand: String
    /// The error number that the call left behind.
    public let errno: Errno

    /// Describes a failed call.
    public init(call: String, operand: String, errno: Errno) {
        self.call = call
        self.operand = operand
        self.errno = errno
    }

    /// The error number's text alone, such as `No such file or directory`.
    public var reason: String { errno.description }

    /// One phrase: `cannot open '/x': No such file or directory`.
    public var description: String {
        operand.isEmpty
            ? "cannot \(call): \(reason)" : "cannot \(call) '\(operand)': \(reason)"
    }
}

/// The one place where calls into the kernel are repeated after a signal and turned into errors.
public enum SystemCall {
    /// Runs `body` until a signal no longer interrupts it.
    ///
    /// For hot paths: a failure costs no allocation.
    ///
    /// - Returns: the call's result, and `errno` if that result is -1 (otherwise 0).
    @inline(__always)
    public static func uninterrupted<Value: SignedInteger & FixedWidthInteger>(
        _ body: () -> Value
    ) -> (value: Value, errno: CInt) {
        while true {
            let value = body()
            guard value == -1 else { return (value, 0) }
            let code = Glibc.errno
            guard code == EINTR else { return (value, code) }
        }
    }

    /// Runs `body` until a signal no longer interrupts it, and throws if it returns -1.
    ///
    /// - Parameters:
    ///   - call: the name of the call.
    ///   - operand: what it is applied to; only evaluated on failure.
    /// - Throws: `SystemCallError` with the call's `errno`.
    @inline(__always)
    @discardableResult
    public static func check<Value: SignedInteger & FixedWidthInteger>(
        _ call: StaticString,
        _ operand: @autoclosure () -> String,
        _ body: () -> Value
    ) throws(SystemCallError) -> Value {
        let (value, code) = uninterrupted(body)
        guard value == -1 else { return value }
        throw failure(call, operand(), code)
    }

    /// Runs `body` once, for the few calls whose interruption the caller has to see.
    @inline(__always)
    static func once<Value: SignedInteger & FixedWidthInteger>(
        _ body: () -> Value
    ) -> (value: Value, errno: CInt) {
        let value = body()
        return value == -1 ? (value, Glibc.errno) : (value, 0)
    }

    /// The error for a call that left `code` behind.
    public static func failure(
        _ call: StaticString,
        _ operand: String,
        _ code: CInt
    ) -> SystemCallError {
        SystemCallError(call: call.description, operand: operand, errno: Errno(rawValue: code))
    }

    /// Throws if `code`, the result of a call that returns its error number, isn't 0.
    ///
    /// - Throws: `SystemCallError` with that number.
    static func checkCode(
        _ call: StaticString,
        _ operand: @autoclosure () -> String,
        _ code: CInt
    ) throws(SystemCallError) {
        guard code != 0 else { return }
        throw failure(call, operand(), code)
    }
}
