public import BerthSystem
public import BerthTransport
import Synchronization

/// The narrow door from the controller down to a data thread.
///
/// The controller sets orders, the thread looks at them between batches and waits for them where
/// it has nothing to do. `cancel` also aborts the channel, so that a thread that is blocked in a
/// read or write ends at once.
public final class MigrationOrders: Sendable {
    private struct State {
        var isCancelled = false
        var mayFinish = false
        var bytesPerSecond: UInt64 = 0
        var downtimeLimit: UInt64 = 0
        var switchoverBytesPerSecond: UInt64 = 0
        var channel: Channel?
        var incoming: IncomingTransport?
    }

    private let state = Mutex(State())
    private let wake: WakeEvent
    /// Raised by a cancel and never cleared, for operations that take an abort event.
    public let cancellation: WakeEvent

    /// Makes orders that say: go on.
    /// - Throws: `SystemCallError` if the process has no descriptor left.
    public init() throws(SystemCallError) {
        wake = try WakeEvent()
        cancellation = try WakeEvent()
    }

    /// Set once the migration is to end.
    public var isCancelled: Bool { state.withLock { $0.isCancelled } }

    /// Ends the migration: wakes the thread and aborts its channel.
    public func cancel() {
        let (channel, incoming) = state.withLock { state in
            state.isCancelled = true
            return (state.channel, state.incoming)
        }
        cancellation.signal()
        channel?.abort()
        incoming?.abort()
    }

    /// Names the channel that a cancel has to abort.
    ///
    /// A channel that is named after the cancel is aborted at once.
    public func attach(_ channel: Channel) {
        let isCancelled = state.withLock { state in
            state.channel = channel
            return state.isCancelled
        }
        if isCancelled {
            channel.abort()
        }
    }

    /// Names the listener that a cancel has to abort.
    public func attach(_ incoming: IncomingTransport) {
        let isCancelled = state.withLock { state in
            state.incoming = incoming
            return state.isCancelled
        }
        if isCancelled {
            incoming.abort()
        }
    }

    /// Shuts the connection down without a cancel (QMP `yank`): the migration then fails.
    ///
    /// Files and pipes are not affected, as in QEMU.
    public func yank() {
        if let channel = state.withLock({ $0.channel }), channel.isSocket {
            channel.abort()
        }
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
        _ = try? Poll.wait(for: wake.raw, .input, abort: cancellation, timeout: timeout)
        wake.clear()
    }
}
