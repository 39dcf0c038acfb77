internal import Glibc

/// Finds programs as a shell does.
public enum ProgramSearch {
    /// The path of a program in the folders of `PATH`; nil if there is none.
    ///
    /// - Parameter name: without a folder.
    public static func path(of name: String) -> String? {
        let folders = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "/usr/bin:/bin"
        return folders.split(separator: ":").lazy.map { "\($0)/\(name)" }.first { path in
            let isExecutable = unsafe access(path, X_OK) == 0
            return isExecutable && (try? FileStatus(path: path).kind) == .regularFile
        }
    }
}
