import Glibc

/// A file system of 1 MiB on a folder of its own, for what happens when it is full.
///
/// It goes with the object, also where a test ends early or something on it is still open.
public final class StreamTinyFileSystem {
    /// Where it is mounted.
    public let folder: String

    /// Mounts it on a new folder; nil without the right to.
    public init?(on folder: String) {
        self.folder = folder
        guard mkdir(folder, 0o700) == 0 else { return nil }
        guard mount("tmpfs", folder, "tmpfs", 0, "size=1m") == 0 else {
            rmdir(folder)
            return nil
        }
    }

    deinit {
        umount2(folder, CInt(MNT_DETACH))
        rmdir(folder)
    }
}
