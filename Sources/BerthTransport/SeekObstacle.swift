internal import BerthSystem
internal import Glibc

/// Why an object cannot serve a migration that reads or writes at offsets.
enum SeekObstacle {
    /// Judges an object by its kind.
    ///
    /// - Returns: a clause for a message, or `nil` if nothing stands against it.
    static func of(_ kind: FileStatus.Kind) -> String? {
        switch kind {
        case .regularFile, .blockDevice: nil
        // It can't be opened for migration at all: that error is the better one.
        case .directory: nil
        default: "a \(kind.rawValue) cannot be written at an offset"
        }
    }

    /// Judges an open object.
    ///
    /// A file opened for appending takes every byte at its end, even with pwrite(2).
    ///
    /// - Throws: `SystemCallError` for `fstat` or `fcntl`.
    static func of(_ descriptor: borrowing OwnedDescriptor) throws(SystemCallError) -> String? {
        if let obstacle = of(try FileStatus(of: descriptor.raw).kind) { return obstacle }
        let flags = try descriptor.statusFlags()
        let isAppending = flags & O_APPEND != 0 && flags & O_ACCMODE != O_RDONLY
        return isAppending
            ? "a file that was opened for appending cannot be written at an offset" : nil
    }

    /// The error for an object that has an obstacle.
    static func error(_ obstacle: String, _ capability: String, _ name: String) -> TransportError {
        TransportError(
            "use capability '\(capability)' with",
            name,
            reason: "\(obstacle); \(TransportNeed.seekable.transportsThatServe)"
        )
    }
}
