import BerthSystem
import BerthTransport
import Glibc

/// A file without a name, gone when its channel is.
enum UnnamedFile {
    /// Makes one in the folder `TMPDIR`, or `/var/tmp`, which unlike `/tmp` is meant to be large.
    ///
    /// - Parameter path: the image that it is a copy of, for messages.
    static func make(for path: String) throws(ImageError) -> Channel {
        let folder = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/var/tmp"
        let name = "\(folder)/berth-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        do {
            let descriptor = try OwnedDescriptor.open(name, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
            unsafe unlink(name)
            return try Channel(descriptor, name: "a copy of '\(path)' in \(folder)")
        } catch let error as TransportError {
            throw ImageError(error)
        } catch {
            throw ImageError(
                "cannot make a copy of '\(path)' for reading its pages: \(error)",
                hint: "set TMPDIR to a folder with room for the guest's memory"
            )
        }
    }
}
