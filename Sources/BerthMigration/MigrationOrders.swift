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
        var bytesPerSecond: UInt64 = 0
        var downtimeLimit: UInt64 = 0
        var switchoverBytesPerSecond: UInt64 = 0
        var abortTransport: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())
    private let wake: WakeEvent
    /// Makes orders that say: go on.
    /// - Throws: `SystemCallError` if the process has no descriptor left.
    public init() throws(SystemCallError) {
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

    /// Changes the limits that take effect on a running migration.
    ///
    /// - Parameters:
    ///   - bytesPerSecond: `max-bandwidth`; 0 is no limit.
    ///   - downtimeLimit: milliseconds.
    ///   - switchoverBytesPerSecond: `avail-switchover-bandwidth`; 0 is measured.
    public func setLimits(
        bytesPerSecond: UInt64,
        downtimeLimit: UInt64,
        switchoverBytesPerSecond: UInt64
    ) {
        state.withLock { state in
            state.bytesPerSecond = bytesPerSecond
            state.downtimeLimit = downtimeLimit
            state.switchoverBytesPerSecond = switchoverBytesPerSecond
        }
        wake.signal()
    }

    /// The limits in force: bytes per second, downtime in ms, switchover bytes per second.
    public var limits: (bytesPerSecond: UInt64, downtime: UInt64, switchover: UInt64) {
        state.withLock { ($0.bytesPerSecond, $0.downtimeLimit, $0.switchoverBytesPerSecond) }
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
