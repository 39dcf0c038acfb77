import Glibc
import Synchronization

/// The temporary files of this process's images, for whoever ends it before they are complete.
///
/// A signal can come at any time, so that taking a file off this list and renaming it are one step.
public enum UnfinishedImages {
    private static let paths = Mutex<Set<String>>([])

    /// Puts a file on the list.
    static func add(_ path: String) {
        _ = paths.withLock { $0.insert(path) }
    }

    /// Takes a file off the list if `body` succeeds, which moves it to where it is to stay.
    static func finish<Failure>(
        _ path: String,
        _ body: () throws(Failure) -> Void
    ) throws(Failure) {
        try paths.withLock { paths throws(Failure) in
            try body()
            paths.remove(path)
        }
    }

    /// Removes a file.
    static func remove(_ path: String) {
        paths.withLock { paths in
            guard paths.remove(path) != nil else { return }
            unsafe unlink(path)
        }
    }

    /// Removes all of them; to be called right before the process ends.
    public static func removeAll() {
        paths.withLock { paths in
            for path in paths {
                unsafe unlink(path)
            }
            paths = []
        }
    }
}
