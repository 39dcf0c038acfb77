import BerthQAPI
import BerthSystem
import Glibc

/// The file of `-pidfile`: the process's number, locked while the process lives.
final class PidFile {
    private let path: String
    private let descriptor: OwnedDescriptorBox

    /// Creates and locks the file.
    ///
    /// - Throws: `QMPError` if it can't be written, or another process holds it.
    init(_ path: String) throws(QMPError) {
        self.path = path
        do {
            let raw = try SystemCall.check("open", path) {
                unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            }
            descriptor = OwnedDescriptorBox(OwnedDescriptor(raw))
            guard lockf(raw, F_TLOCK, 0) == 0 else {
                throw QMPError(
                    "cannot create PID file: '\(path)' is locked by a process that runs",
                    hint: "give each process a PID file of its own, or end the other one"
                )
            }
            try SystemCall.check("write", path) { ftruncate(raw, 0) }
            let text = Array("\(getpid())\n".utf8)
            try SystemCall.check("write", path) { unsafe write(raw, text, text.count) }
        } catch let error as QMPError {
            throw error
        } catch {
            throw QMPError("cannot create PID file: \(error)")
        }
    }

    /// Removes the file: a clean end.
    func remove() {
        unsafe unlink(path)
    }
}
