public import BerthSystem
import Synchronization

/// The narrow door from the controller down to a data thread.
///
/// The controller sets orders, the thread looks at them between batches and waits for them where
/// it has nothing to do. `cancel` also aborts the transport, so that a thread that is blocked in a
/// read or write ends at once.
public final class MigrationOrders: Sendable {
    private struct State {
        var isCancelled = false
        var mayFinish = false
        var isGuestLive = true
        var limits: MigrationLimits
        var abortTransport: (@Sendable () -> Void)?
    }

    private let state: Mutex<State>
    private let wake: WakeEvent

    /// Makes orders that say: go on, within `limits`.
    /// - Throws: `SystemCallError` if the process has no descriptor left.
    public init(_ limits: MigrationLimits = MigrationLimits()) throws(SystemCallError) {
        state = Mutex(State(limits: limits))
        wake = try WakeEvent()
    }

    /// Set once the migration is to end.
    public var isCancelled: Bool { state.withLock { $0.isCancelled } }

    /// Ends the migration: wakes the thread and aborts its transport.
    public func cancel() {
        let abort = state.withLock { state in
            state.isCancelled = true
            return state.abortTransport
        }
        abort?()
        wake.signal()
    }

    /// Says how to abort the transport: unblock whatever waits for it, on any thread.
    ///
    /// After a cancel it is aborted at once.
    public func attach(_ abort: @escaping @Sendable () -> Void) {
        let isCancelled = state.withLock { state in
            state.abortTransport = abort
            return state.isCancelled
        }
        if isCancelled {
            abort()
        }
    }

    /// Shuts the connection down without a cancel (QMP `yank`): the migration then fails.
    public func yank() {
        state.withLock { $0.abortTransport }?()
    }

    /// Lets the data thread write what is left: the guest is stopped.
    public func allowFinish() {
        state.withLock { $0.mayFinish = true }
        wake.signal()
    }

    /// The limits in force; a change takes effect on a running migration.
    public var limits: MigrationLimits {
        get { state.withLock { $0.limits } }
        set {
            state.withLock { $0.limits = newValue }
            wake.signal()
        }
    }

    /// Whether the guest runs, so that its end has to be well chosen.
    public var isGuestLive: Bool {
        get { state.withLock { $0.isGuestLive } }
        set {
            state.withLock { $0.isGuestLive = newValue }
            wake.signal()
        }
    }

    /// Blocks until the thread may write what is left.
    ///
    /// - Returns: false if the migration was cancelled instead.
    @available(*, noasync)
    public func waitForFinish() -> Bool {
        while true {
            let (cancelled, may) = state.withLock { ($0.isCancelled, $0.mayFinish) }
            if cancelled { return false }
            if may { return true }
            wait(timeout: nil)
        }
    }

    /// Blocks until an order changes or the time is over.
    @available(*, noasync)
    public func wait(timeout: Duration?) {
        // Failure to poll is a full process; the caller's loop looks at the orders again.
        _ = try? Poll.wait(for: wake.raw, .input, timeout: timeout)
        wake.clear()
    }
}
