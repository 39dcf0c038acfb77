internal import BerthSystem
internal import Glibc
internal import SystemPackage

/// Keeps saves away from files that a guest's memory lies on.
enum ImageLock {
    /// Makes sure that nobody's memory lies on what is about to be written.
    ///
    /// - Parameters:
    ///   - offset: where writing begins.
    ///   - name: how messages call it.
    ///   - isOwn: whether the open file goes with the descriptor: the lock then stays until that is
    ///     closed. Otherwise it is given back at once.
    /// - Throws: `TransportError` if it is in use.
    static func takeForWriting(
        _ descriptor: borrowing OwnedDescriptor,
        from offset: UInt64,
        _ name: String,
        isOwn: Bool
    ) throws(TransportError) {
        guard let status = try? FileStatus(of: descriptor.raw), status.isSeekable else { return }
        do {
            try descriptor.lockForWriting(from: offset, name: name)
        } catch {
            // Not every file system has locks.
            guard [EAGAIN, EACCES].contains(where: { error.errno.rawValue == $0 }) else { return }
            throw TransportError(
                "open",
                name,
                reason: "a guest's memory lies on it (x-mapped-ram-restore=map), or it is being "
                    + "written",
                hint: "save elsewhere, or wait until that guest has ended"
            )
        }
        if !isOwn { OwnedDescriptor.unlock(descriptor.raw) }
    }
}
