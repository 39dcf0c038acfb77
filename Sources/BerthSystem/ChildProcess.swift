internal import CBerthLinux
internal import Glibc
internal import Synchronization

/// A child process whose standard input or output is a pipe of ours.
///
/// A thread waits for its end, so that it never stays a zombie and nobody else has to block.
public final class ChildProcess: Sendable {
    /// How a child ended.
    public enum ExitStatus: Sendable, Equatable {
        /// It returned this code, 0...255.
        case exited(code: Int32)
        /// A signal ended it.
        case signalled(Int32)

        /// Whether the child says that all went well.
        public var isSuccess: Bool { self == .exited(code: 0) }
    }

    private enum State {
        case running
        case ended(ExitStatus)
    }

    /// The kernel's number for the child.
    public let processID: Int32
    private let state = Mutex<State>(.running)
    private let ended: WakeEvent

    private init(processID: Int32, ended: WakeEvent) {
        self.processID = processID
        self.ended = ended
    }

    /// Which of the child's standard streams is a pipe of ours.
    public enum PipedStream: Sendable {
        /// What we write is the child's standard input.
        case standardInput
        /// What the child writes to its standard output is ours to read.
        case standardOutput
    }

    /// A child just started and our end of its pipe, blocking as pipes are.
    public struct Started: ~Copyable, Sendable {
        /// The child.
        public let process: ChildProcess
        /// Our end of the pipe.
        public var pipe: OwnedDescriptor

        init(process: ChildProcess, pipe: consuming OwnedDescriptor) {
            self.process = process
            self.pipe = pipe
        }

        /// Hands over the pipe's end.
        public consuming func takePipe() -> OwnedDescriptor { pipe }
    }

    /// Starts a program with a pipe for standard input or output.
    ///
    /// The child inherits environment and working directory, standard error unless it gets another,
    /// and nothing else: no descriptor, and the default handling of every signal.
    ///
    /// - Parameters:
    ///   - arguments: the program's path (it isn't searched for) and its arguments.
    ///   - stream: the stream that is a pipe.
    ///   - file: descriptor of an open file for the child's other standard stream, from where it stands;
    ///     `/dev/null` if nil.
    ///   - messages: where the child's standard error goes; to this process's if nil.
    /// - Throws: `SystemCallError` for `pipe2`, `open` or `posix_spawn`; `ENOENT` if there is no
    ///   such program, `EINVAL` if `arguments` is empty.
    public static func start(
        _ arguments: [String],
        piping stream: PipedStream,
        file: CInt? = nil,
        messages: ProgramMessages? = nil
    ) throws(SystemCallError) -> Started {
        guard let program = arguments.first else {
            throw SystemCall.failure("posix_spawn", "", EINVAL)
        }
        Signals.keepExitStatuses()
        let ended = try WakeEvent()
        let null = try OwnedDescriptor.open("/dev/null", O_RDWR)
        let pipe = try OwnedDescriptor.pipe()
        let readEnd = pipe.first.raw
        let writeEnd = pipe.second.raw
        let isInput = stream == .standardInput
        let other = file ?? null.raw
        let processID = try spawn(
            program,
            arguments,
            input: isInput ? readEnd : other,
            output: isInput ? other : writeEnd,
            messages: messages?.raw
        )
        let child = ChildProcess(processID: processID, ended: ended)
        do {
            try NamedThread.start(name: "berth-reap") { child.reap() }
        } catch {
            // Without its watcher the child must not run on unseen.
            child.kill()
            child.reap()
            throw error
        }
        return Started(process: child, pipe: isInput ? pipe.takeSecond() : pipe.takeFirst())
    }

    /// How the child ended, `nil` while it runs.
    public var exitStatus: ExitStatus? {
        state.withLock { state in
            if case .ended(let status) = state { status } else { nil }
        }
    }

    /// Waits for the child's end.
    ///
    /// - Parameters:
    ///   - abort: ends the wait when raised.
    ///   - timeout: `nil` waits for ever.
    /// - Returns: how it ended, or `nil` when aborted or timed out.
    /// - Throws: `SystemCallError` for `poll`.
    @available(*, noasync, message: "blocks its thread")
    public func wait(
        abort: WakeEvent? = nil,
        timeout: Duration? = nil
    ) throws(SystemCallError) -> ExitStatus? {
        // A child that has ended is worth more than the abort: look before and after.
        if let status = exitStatus { return status }
        _ = try Poll.wait(for: ended.raw, .input, abort: abort, timeout: timeout)
        return exitStatus
    }

    /// Asks the child to end (`SIGTERM`); nothing happens if it has ended.
    public func terminate() { send(SIGTERM) }

    /// Ends the child (`SIGKILL`); nothing happens if it has ended.
    public func kill() { send(SIGKILL) }

    private func send(_ signal: CInt) {
        state.withLock { state in
            // The number stays the child's until `reap` frees it under this lock.
            if case .running = state { _ = Glibc.kill(processID, signal) }
        }
    }

    private func reap() {
        var information = unsafe siginfo_t()
        _ = SystemCall.uninterrupted {
            unsafe waitid(P_PID, id_t(processID), &information, WEXITED | WNOWAIT)
        }
        state.withLock { state in
            var status: CInt = 0
            let reaped = SystemCall.uninterrupted { unsafe waitpid(processID, &status, 0) }.value
            // Somebody else's wait(2) can take the status away; the code is then unknown.
            let result: ExitStatus =
                if reaped != processID {
                    .exited(code: 255)
                } else if berth_wait_exited(status) != 0 {
                    .exited(code: berth_wait_exit_code(status))
                } else {
                    .signalled(berth_wait_signal(status))
                }
            state = .ended(result)
        }
        ended.signal()
    }

    private static func spawn(
        _ program: String,
        _ arguments: [String],
        input: CInt,
        output: CInt,
        messages: CInt?
    ) throws(SystemCallError) -> Int32 {
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        try unsafe SystemCall.checkCode(
            "posix_spawn",
            program,
            posix_spawn_file_actions_init(&actions)
        )
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        try unsafe SystemCall.checkCode("posix_spawn", program, posix_spawnattr_init(&attributes))
        defer { unsafe posix_spawnattr_destroy(&attributes) }

        // dup2 clears close-on-exec. No target is a source: our numbers lie above 2, see
        // OwnedDescriptor.reserveStandardStreams.
        try unsafe SystemCall.checkCode(
            "posix_spawn",
            program,
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        )
        try unsafe SystemCall.checkCode(
            "posix_spawn",
            program,
            posix_spawn_file_actions_adddup2(&actions, output, 1)
        )
        if let messages {
            try unsafe SystemCall.checkCode(
                "posix_spawn",
                program,
                posix_spawn_file_actions_adddup2(&actions, messages, 2)
            )
        }
        try unsafe SystemCall.checkCode("posix_spawn", program, berth_spawn_close_from(&actions, 3))

        // Our threads block all signals and SIGPIPE is ignored: the child starts afresh.
        var none = sigset_t()
        var all = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigfillset(&all)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        unsafe posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)
        )

        var argv: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) }
        unsafe argv.append(nil)
        defer { unsafe argv.forEach { unsafe free($0) } }
        var processID: pid_t = 0
        let code = unsafe posix_spawn(&processID, program, &actions, &attributes, argv, environ)
        try SystemCall.checkCode("posix_spawn", program, code)
        return processID
    }
}
