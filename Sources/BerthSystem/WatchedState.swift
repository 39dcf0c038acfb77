internal import Glibc

/// State that several threads share, and on whose changes they wait.
///
/// For few threads that seldom wait: every change wakes all who do.
@safe
public final class WatchedState<State: Sendable>: Sendable {
    // SAFETY: all of it is allocated in init, freed in deinit, and the state is touched only with
    // the lock held.
    private nonisolated(unsafe) let state: UnsafeMutablePointer<State>
    private nonisolated(unsafe) let lock: UnsafeMutablePointer<pthread_mutex_t>
    private nonisolated(unsafe) let changed: UnsafeMutablePointer<pthread_cond_t>

    /// Makes a state that nobody waits on yet.
    public init(_ initial: State) {
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(to: initial)
        unsafe lock = .allocate(capacity: 1)
        unsafe pthread_mutex_init(lock, nil)
        unsafe changed = .allocate(capacity: 1)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        // So that setting the host's clock changes no time-out.
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(changed, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(changed)
        unsafe changed.deallocate()
        unsafe pthread_mutex_destroy(lock)
        unsafe lock.deallocate()
        unsafe state.deinitialize(count: 1)
        unsafe state.deallocate()
    }

    /// A copy of the state as it is now.
    public var value: State {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        return unsafe state.pointee
    }

    /// Changes the state and wakes all who wait.
    ///
    /// - Parameter body: called with the lock held; it must not block.
    public func change<Result>(_ body: (inout State) -> Result) -> Result {
        unsafe pthread_mutex_lock(lock)
        defer {
            unsafe pthread_cond_broadcast(changed)
            unsafe pthread_mutex_unlock(lock)
        }
        return unsafe body(&state.pointee)
    }

    /// Waits until the state gives what is asked for.
    ///
    /// - Parameters:
    ///   - timeout: `nil` waits for ever.
    ///   - body: asked at once and after each change; called with the lock held.
    /// - Returns: what `body` gave, or nil when the time was up.
    @available(*, noasync, message: "blocks its thread")
    public func wait<Result>(
        timeout: Duration? = nil,
        for body: (State) -> Result?
    ) -> Result? {
        var deadline = timespec()
        if let timeout { deadline = Self.deadline(after: timeout) }
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        while true {
            if let result = unsafe body(state.pointee) { return result }
            guard timeout != nil else {
                unsafe pthread_cond_wait(changed, lock)
                continue
            }
            if unsafe pthread_cond_timedwait(changed, lock, &deadline) == ETIMEDOUT {
                return unsafe body(state.pointee)
            }
        }
    }

    private static func deadline(after timeout: Duration) -> timespec {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        let (seconds, attoseconds) = max(timeout, .zero).components
        let nanoseconds = now.tv_nsec + Int(attoseconds / 1_000_000_000)
        return timespec(
            // A year is as good as for ever, and can't overflow.
            tv_sec: now.tv_sec + Int(min(seconds, 365 * 86400)) + nanoseconds / 1_000_000_000,
            tv_nsec: nanoseconds % 1_000_000_000
        )
    }
}
