internal import CBerthLinux
internal import Glibc
internal import SystemPackage

/// A file descriptor with one owner, closed when that owner goes.
///
/// Descriptors made here are close-on-exec.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The number, for calls; it stays the property of this value.
    public let raw: CInt

    /// Takes over a descriptor that nobody else will close.
    ///
    /// - Parameter raw: an open descriptor's number.
    public init(_ raw: CInt) {
        self.raw = raw
    }

    deinit {
        _ = Glibc.close(raw)
    }

    /// Opens a file, close-on-exec.
    ///
    /// - Parameters:
    ///   - path: relative to the process's working directory unless it begins with a slash.
    ///   - flags: `O_RDONLY` and its kin, see open(2).
    ///   - mode: permission bits of a file that this call creates, before the umask.
    ///   - isDirect: bypass the page cache (`O_DIRECT`); offsets and memory must then be aligned.
    /// - Throws: `SystemCallError` for `open`, with the path as operand.
    public static func open(
        _ path: String,
        _ flags: CInt,
        mode: UInt32 = 0,
        isDirect: Bool = false
    ) throws(SystemCallError) -> OwnedDescriptor {
        let allFlags = flags | O_CLOEXEC | (isDirect ? berth_O_DIRECT : 0)
        let raw = try SystemCall.check("open", path) {
            unsafe Glibc.open(path, allFlags, mode)
        }
        return OwnedDescriptor(raw)
    }

    /// Opens `/dev/null` on those of the numbers 0 to 2 that the parent left closed.
    ///
    /// To be called first of all by the program: otherwise a file that is opened later gets such a
    /// number, and what is meant for the terminal lands in it. Standard output is opened read-only:
    /// a stream that is written there must fail, not vanish.
    public static func reserveStandardStreams() {
        for number in STDIN_FILENO...STDERR_FILENO where fcntl(number, F_GETFD) == -1 {
            // The lowest free number is this one: those below were taken before.
            let flags = number == STDOUT_FILENO ? O_RDONLY : O_RDWR
            guard unsafe Glibc.open("/dev/null", flags) == number else { return }
        }
    }

    /// Has what the page cache has of a file go to the disk, without waiting for it.
    ///
    /// What the disk has against it is said to whoever makes the file durable.
    public static func startWriteback(of raw: CInt) {
        _ = berth_start_writeback(raw)
    }

    /// Makes a pipe whose ends are close-on-exec.
    ///
    /// - Throws: `SystemCallError` for `pipe2`.
    public static func pipe() throws(SystemCallError) -> DescriptorPair {
        var ends: (CInt, CInt) = (-1, -1)
        try SystemCall.check("pipe2", "") {
            unsafe withUnsafeMutablePointer(to: &ends) { pointer in
                unsafe pointer.withMemoryRebound(to: CInt.self, capacity: 2) { numbers in
                    unsafe berth_pipe2(numbers, O_CLOEXEC)
                }
            }
        }
        return DescriptorPair(OwnedDescriptor(ends.0), OwnedDescriptor(ends.1))
    }

    /// Another descriptor for the same open file: they share offset and status flags.
    ///
    /// - Throws: `SystemCallError` for `dup`.
    public func duplicate() throws(SystemCallError) -> OwnedDescriptor {
        try OwnedDescriptor.duplicate(of: raw)
    }

    /// A close-on-exec duplicate of a descriptor that somebody else owns.
    ///
    /// - Parameter raw: a number that may come from outside and need not be open.
    /// - Throws: `SystemCallError` for `dup`, `EBADF` if the number isn't open.
    public static func duplicate(of raw: CInt) throws(SystemCallError) -> OwnedDescriptor {
        // 3: never land on a standard stream that happens to be closed.
        let copy = try SystemCall.check("dup", "fd \(raw)") {
            fcntl(raw, F_DUPFD_CLOEXEC, 3)
        }
        return OwnedDescriptor(copy)
    }

    /// Gives the number away; the caller closes it from now on.
    public consuming func release() -> CInt {
        let number = raw
        discard self
        return number
    }

    /// Closes the descriptor and reports what the kernel says about it.
    ///
    /// - Throws: `SystemCallError` for `close`. The descriptor is gone in any case.
    public consuming func close() throws(SystemCallError) {
        let number = raw
        discard self
        // Never repeated: Linux has freed the number even when it reports EINTR.
        guard Glibc.close(number) == -1 else { return }
        let code = Glibc.errno
        guard code != EINTR else { return }
        throw SystemCallError(call: "close", operand: "fd \(number)", errno: Errno(rawValue: code))
    }

    /// Makes every call on the open file return at once, or wait, as `enabled` says.
    ///
    /// The flag belongs to the open file: all duplicates see it.
    ///
    /// - Throws: `SystemCallError` for `fcntl`.
    public func setNonblocking(_ enabled: Bool) throws(SystemCallError) {
        let old = try statusFlags()
        let new = enabled ? old | O_NONBLOCK : old & ~O_NONBLOCK
        guard new != old else { return }
        try SystemCall.check("fcntl", "fd \(raw)") { fcntl(raw, F_SETFL, new) }
    }

    /// Asks for room for `byteCount` bytes in a pipe; it stays as it is where that is too much.
    public func enlargePipe(byteCount: Int32) {
        _ = fcntl(raw, berth_F_SETPIPE_SZ, byteCount)
    }

    /// Whether a number is open and came from the process's parent: all of ours are close-on-exec.
    public static func isInherited(_ raw: CInt) -> Bool {
        let flags = fcntl(raw, F_GETFD)
        return flags != -1 && flags & FD_CLOEXEC == 0
    }

    /// Access mode and status flags of the open file (`F_GETFL`).
    ///
    /// - Throws: `SystemCallError` for `fcntl`.
    public func statusFlags() throws(SystemCallError) -> CInt {
        try SystemCall.check("fcntl", "fd \(raw)") { fcntl(raw, F_GETFL) }
    }

    /// What the open file may be used for.
    ///
    /// - Throws: `SystemCallError` for `fcntl`.
    public func access() throws(SystemCallError) -> FileAccess {
        let flags = try statusFlags()
        let mode: FileAccess.Mode =
            switch flags & O_ACCMODE {
            case O_RDONLY: .readOnly
            case O_WRONLY: .writeOnly
            default: .readWrite
            }
        return FileAccess(mode: mode, isDirect: flags & berth_O_DIRECT != 0)
    }

    /// Marks the descriptor close-on-exec, for numbers that were inherited.
    ///
    /// - Throws: `SystemCallError` for `fcntl`; `EBADF` shows that the number isn't open.
    public func setCloseOnExec() throws(SystemCallError) {
        try SystemCall.check("fcntl", "fd \(raw)") { fcntl(raw, F_SETFD, FD_CLOEXEC) }
    }
}

/// Two descriptors that belong together: a pipe's ends (read, write) or a socket pair.
public struct DescriptorPair: ~Copyable, Sendable {
    /// A pipe's read end.
    public var first: OwnedDescriptor
    /// A pipe's write end.
    public var second: OwnedDescriptor

    /// Joins two descriptors.
    public init(_ first: consuming OwnedDescriptor, _ second: consuming OwnedDescriptor) {
        self.first = first
        self.second = second
    }

    /// Keeps the first and closes the second.
    public consuming func takeFirst() -> OwnedDescriptor { first }

    /// Keeps the second and closes the first.
    public consuming func takeSecond() -> OwnedDescriptor { second }
}
