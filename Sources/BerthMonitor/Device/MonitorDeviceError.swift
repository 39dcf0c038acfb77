public import BerthSystem

/// A monitor's device that could not be opened.
public struct MonitorDeviceError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Why.
    public enum Cause: Error, Sendable, Equatable {
        /// A system call failed.
        case system(SystemCallError)
        /// A host name has no address.
        case resolution(NameResolutionError)
        /// The inherited descriptor isn't what the command line says of it.
        case descriptor(Int32, reason: String)
        /// The process is told to end while it waits for a client.
        case aborted
    }

    /// The device's label.
    public let label: String
    /// Why it could not be opened.
    public let cause: Cause

    /// Names the device and the reason.
    public init(label: String, cause: Cause) {
        self.label = label
        self.cause = cause
    }

    /// One phrase: what was attempted and what went wrong.
    public var description: String {
        switch cause {
        case .system(let error): error.description
        case .resolution(let error): error.description
        case .descriptor(let number, let reason): "cannot use fd \(number): \(reason)"
        case .aborted: "stopped waiting for a client of '\(label)'"
        }
    }
}
