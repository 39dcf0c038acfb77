internal import CBerthLinux
internal import Glibc

/// Notices when the content of a file changes: by write(2), by truncation, or by whatever else goes
/// through the kernel's file interface.
///
/// Based on inotify(7). Writes through a shared mapping of the file aren't seen, nor what another
/// host does over a network file system.
public final class FileWatch: Sendable {
    private let descriptor: OwnedDescriptor

    /// Begins to watch an open file, wherever its path leads by now.
    ///
    /// - Throws: `SystemCallError` for `inotify_init1` or `inotify_add_watch`: `ENOSPC` where the
    ///   user has too many watches.
    public init(of file: borrowing OwnedDescriptor, name: String) throws(SystemCallError) {
        let raw = try SystemCall.check("inotify_init1", name) { berth_watch_open() }
        descriptor = OwnedDescriptor(raw)
        let number = file.raw
        try SystemCall.check("inotify_add_watch", name) {
            unsafe berth_watch_content(raw, "/proc/self/fd/\(number)")
        }
    }

    /// Waits for a change since the watch began.
    ///
    /// - Parameter stop: ends the wait when raised.
    /// - Returns: whether there was a change; false after `stop`.
    /// - Throws: `SystemCallError` for `poll`.
    @available(*, noasync, message: "blocks its thread")
    public func waitForChange(stop: WakeEvent) throws(SystemCallError) -> Bool {
        while true {
            let outcome = try Poll.wait(for: descriptor.raw, .input, abort: stop)
            if berth_watch_took_notice(descriptor.raw) != 0 { return true }
            if outcome == .aborted { return false }
        }
    }
}
