internal import CBerthLinux
internal import Glibc

/// A process that left its terminal, and the parent that waits until it is ready.
///
/// Must be made before the first thread: a fork keeps only the calling one.
public struct Daemon: ~Copyable {
    private let ready: OwnedDescriptor

    /// Forks.
    ///
    /// Returns in the child; the parent ends when the child is ready (status 0) or has died (status
    /// 1).
    ///
    /// - Throws: `SystemCallError` if there can be no child.
    public init() throws(SystemCallError) {
        var ends: [CInt] = [-1, -1]
        try SystemCall.check("pipe", "") { unsafe pipe(&ends) }
        let reading = OwnedDescriptor(ends[0])
        let writing = OwnedDescriptor(ends[1])
        let child = try SystemCall.check("fork", "") { berth_fork() }
        guard child == 0 else {
            try writing.close()
            var byte: UInt8 = 0
            let (count, _) = SystemCall.uninterrupted { unsafe read(reading.raw, &byte, 1) }
            _exit(count == 1 ? 0 : 1)
        }
        try reading.close()
        // A command or a peer's helper must not keep the parent waiting.
        _ = fcntl(writing.raw, F_SETFD, FD_CLOEXEC)
        ready = writing
        setsid()
    }

    /// Lets go of folder and standard streams and tells the parent that all is set up.
    ///
    /// - Throws: `SystemCallError` if there is no `/dev/null`.
    public consuming func becomeReady() throws(SystemCallError) {
        _ = unsafe chdir("/")
        let null = try SystemCall.check("open", "/dev/null") { unsafe open("/dev/null", O_RDWR) }
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] {
            dup2(null, descriptor)
        }
        if null > STDERR_FILENO {
            _ = Glibc.close(null)
        }
        var byte: UInt8 = 1
        _ = SystemCall.uninterrupted { unsafe write(ready.raw, &byte, 1) }
    }
}
