/// The answer to a command that went wrong: a class for programs, a phrase for people.
public struct QMPError: Error, Equatable, Sendable {
    /// QEMU's error classes.
    ///
    /// Only a few situations have one of their own, see
    /// docs/monitor/qmp-reference.md; clients go by the class, never by the text.
    public enum ErrorClass: String, Sendable, CaseIterable {
        /// Everything that the other classes don't name.
        case genericError = "GenericError"
        /// The command doesn't exist, or not now.
        case commandNotFound = "CommandNotFound"
        /// Something that the command names doesn't exist.
        case deviceNotFound = "DeviceNotFound"
        /// Something that the command names is there but not in use.
        case deviceNotActive = "DeviceNotActive"
        /// The host's KVM lacks what the command needs.
        case kvmMissingCap = "KVMMissingCap"
    }

    /// QMP: `class`.
    public var errorClass: ErrorClass
    /// One phrase that says what was wrong, without a full stop.
    public var desc: String
    /// What to do about it.
    ///
    /// A line of its own on the human monitor and the command line; QMP has it behind `desc`.
    public var hint: String?

    /// Makes an error of the class that most errors have, or another.
    public init(_ desc: String, class errorClass: ErrorClass = .genericError, hint: String? = nil) {
        self.errorClass = errorClass
        self.desc = desc
        self.hint = hint
    }

    /// There is no such command.
    public static func commandNotFound(_ name: String) -> QMPError {
        QMPError("The command \(name) has not been found", class: .commandNotFound)
    }
}
