internal import CBerthLinux
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// A thread of its own for work that blocks, with a name that `ps -T` and debuggers show.
///
/// All signals are blocked in it, so that they reach the main thread, which handles them; not those
/// that tell of the thread's own faults.
public final class NamedThread: Sendable {
    private enum State {
        case running(pthread_t)
        case joined
    }

    /// The name, at most 15 bytes.
    public let name: String
    private let state: Mutex<State>

    private init(name: String, _ handle: pthread_t) {
        self.name = name
        state = Mutex(.running(handle))
    }

    deinit {
        state.withLock { state in
            if case .running(let handle) = state { pthread_detach(handle) }
        }
    }

    /// Starts a thread.
    ///
    /// - Parameters:
    ///   - name: at most 15 bytes, the kernel's limit; longer names are the caller's mistake.
    ///   - body: what the thread does; the thread ends with it.
    /// - Throws: `SystemCallError` for `pthread_create`, when the system is out of threads.
    @discardableResult
    public static func start(
        name: String,
        _ body: @escaping @Sendable () -> Void
    ) throws(SystemCallError) -> NamedThread {
        precondition(name.utf8.count <= 15, "thread name '\(name)' is longer than 15 bytes")
        let job = unsafe Unmanaged.passRetained(Job(name: name, body: body))
        // A new thread inherits the mask, so no signal can slip in before it blocks them itself.
        var all = sigset_t()
        var previous = sigset_t()
        unsafe sigfillset(&all)
        // A fault kills at once where its signal is blocked, whoever would have explained it.
        unsafe sigdelset(&all, SIGBUS)
        unsafe pthread_sigmask(SIG_BLOCK, &all, &previous)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &previous, nil) }
        var handle = pthread_t()
        let code = unsafe pthread_create(
            &handle,
            nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                let job = unsafe Unmanaged<Job>.fromOpaque(argument).takeRetainedValue()
                _ = unsafe berth_thread_set_name(pthread_self(), job.name)
                job.body()
                return nil
            },
            job.toOpaque()
        )
        guard code == 0 else {
            unsafe job.release()
            throw SystemCall.failure("pthread_create", name, code)
        }
        return NamedThread(name: name, handle)
    }

    /// Names the calling thread; the main thread's name is the process's in `ps` and `top`.
    ///
    /// Linux keeps 15 bytes; what is longer is cut.
    public static func nameCurrent(_ name: String) {
        let short = String(decoding: name.utf8.prefix(15), as: UTF8.self)
        _ = unsafe berth_thread_set_name(pthread_self(), short)
    }

    /// Asks that the calling thread gets the processor soon after it wakes, for short turns.
    ///
    /// For threads that others wait for. Linux 6.12 and later heed it, without any privilege; others
    /// refuse, and nothing changes.
    public static func preferShortTurns() {
        // The least that the kernel takes.
        _ = berth_thread_set_slice(100_000)
    }

    /// Lets other threads go before the calling one, where they compete for a processor.
    ///
    /// For work in the background; it can't be taken back without privilege.
    public static func giveWay() {
        _ = setpriority(CInt(PRIO_PROCESS.rawValue), id_t(berth_thread_id()), 10)
    }

    /// The kernel's number of the calling thread.
    ///
    /// The corresponding C function is `gettid`.
    public static var currentID: Int32 { berth_thread_id() }

    /// Waits until the thread has ended.
    ///
    /// A second call returns once the first has. Calling it from the thread itself is the caller's
    /// mistake.
    @available(*, noasync, message: "blocks its thread")
    public func join() {
        state.withLock { state in
            guard case .running(let handle) = state else { return }
            let code = pthread_join(handle, nil)
            precondition(code == 0, "thread '\(name)' cannot be joined from here")
            state = .joined
        }
    }
}

/// What a new thread needs, boxed for the trip through `pthread_create`.
private final class Job: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}
