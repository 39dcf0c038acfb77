import Glibc
import Synchronization

/// Kills the children of a test run that ended without doing so itself.
///
/// One shell per test run reads process numbers from a pipe, `+N` for a start and `-N` for an end. Only
/// this process holds the pipe's other end, so its death, however it comes, is the end of the shell's
/// input; the shell then kills what is still on its list. (PR_SET_PDEATHSIG would not do: it follows the
/// thread that started the child, and the threads that run tests come and go.)
enum PeersReaper {
    private static let pipeEnd = Mutex<CInt?>(nil)

    private static let script = """
        list=" "
        while read -r line; do
            case $line in
            +*) list="$list${line#+} " ;;
            -*) list="${list%% ${line#-} *} ${list#* ${line#-} }" ;;
            esac
        done
        for process in $list; do kill -9 "$process" 2>/dev/null; done
        """

    /// Puts a process on the list.
    static func add(_ process: pid_t) {
        write("+\(process)\n")
    }

    /// Takes a process off the list; it has been waited for, so its number may be given out again.
    static func remove(_ process: pid_t) {
        write("-\(process)\n")
    }

    private static func write(_ line: String) {
        pipeEnd.withLock { end in
            if end == nil {
                end = startShell()
            }
            guard let end else { return }
            var line = line
            line.withUTF8 { _ = Glibc.write(end, $0.baseAddress, $0.count) }
        }
    }

    private static func startShell() -> CInt? {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        let shell = spawn(["/bin/sh", "-c", script], input: ends[0], output: nil, error: nil)
        close(ends[0])
        return shell == nil ? nil : ends[1]
    }
}

/// Starts a program with the three standard streams given (`nil`: /dev/null) and nothing else open.
///
/// - Returns: The process number, or `nil` if it could not be started.
func spawn(_ arguments: [String], input: CInt?, output: CInt?, error: CInt?) -> pid_t? {
    var actions = posix_spawn_file_actions_t()
    guard posix_spawn_file_actions_init(&actions) == 0 else { return nil }
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (stream, descriptor) in [(CInt(0), input), (1, output), (2, error)] {
        if let descriptor {
            posix_spawn_file_actions_adddup2(&actions, descriptor, stream)
        } else {
            posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0)
        }
    }
    // Closing a number that is closed already is no error in an action, so the list may be out of date.
    for descriptor in openDescriptors() where descriptor > 2 {
        posix_spawn_file_actions_addclose(&actions, descriptor)
    }

    // Test code runs on threads that block signals, and a child would inherit that.
    var attributes = posix_spawnattr_t()
    guard posix_spawnattr_init(&attributes) == 0 else { return nil }
    defer { posix_spawnattr_destroy(&attributes) }
    var nothing = sigset_t()
    sigemptyset(&nothing)
    posix_spawnattr_setsigmask(&attributes, &nothing)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

    let argv = arguments.map { strdup($0) } + [nil]
    defer { argv.forEach { free($0) } }
    var process: pid_t = 0
    guard posix_spawnp(&process, arguments[0], &actions, &attributes, argv, environ) == 0 else {
        return nil
    }
    return process
}

private func openDescriptors() -> [CInt] {
    guard let directory = opendir("/proc/self/fd") else { return [] }
    defer { closedir(directory) }
    var descriptors: [CInt] = []
    while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if let number = CInt(name) { descriptors.append(number) }
    }
    return descriptors
}
