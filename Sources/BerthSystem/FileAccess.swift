/// What an open file may be used for, and whether it bypasses the page cache.
public struct FileAccess: Sendable, Equatable, CustomStringConvertible {
    /// The access mode of open(2).
    public enum Mode: String, Sendable {
        /// `O_RDONLY`.
        case readOnly = "read-only"
        /// `O_WRONLY`.
        case writeOnly = "write-only"
        /// `O_RDWR`.
        case readWrite = "read-write"
    }

    /// The access mode.
    public let mode: Mode
    /// `O_DIRECT` is set.
    public let isDirect: Bool

    /// Describes an access.
    public init(mode: Mode, isDirect: Bool = false) {
        self.mode = mode
        self.isDirect = isDirect
    }

    /// Such as `write-only, O_DIRECT`.
    public var description: String { isDirect ? "\(mode.rawValue), O_DIRECT" : mode.rawValue }
}
