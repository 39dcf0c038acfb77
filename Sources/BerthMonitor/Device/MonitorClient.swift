internal import BerthSystem
internal import Synchronization

/// A client that is connected to a monitor's device: where output goes.
///
/// Usable from any thread. Once the client has gone all calls are without effect, so a late answer
/// never reaches somebody else.
public final class MonitorClient: Sendable {
    /// How output leaves.
    enum Outlet: Sendable {
        /// A socket, written to at once by whoever has output.
        case socket
        /// A file, pipe or terminal that others share: only the device's thread writes, when it may.
        case shared
    }

    private struct State: Sendable {
        var isOpen = true
        /// Close once everything is written.
        var isFinished = false
        /// Output that didn't go out yet, from `written` on.
        var pending: [UInt8] = []
        var written = 0
    }

    private let state = Mutex(State())
    private let raw: CInt
    private let outlet: Outlet
    private let wake: WakeEvent
    /// Whether the client is a terminal, on which somebody types.
    public let isTerminal: Bool

    /// - Parameters:
    ///   - raw: where bytes are written to; stays open until `close` is called.
    ///   - outlet: how.
    ///   - wake: tells the device's thread that there is something to do.
    init(raw: CInt, outlet: Outlet, isTerminal: Bool, wake: WakeEvent) {
        self.raw = raw
        self.outlet = outlet
        self.isTerminal = isTerminal
        self.wake = wake
    }

    /// Sends bytes after those sent before.
    ///
    /// Never blocks: what the client doesn't read is kept.
    public func write(_ bytes: [UInt8]) {
        let needsThread = state.withLock { state in
            guard state.isOpen, !state.isFinished else { return false }
            let hadPending = !state.pending.isEmpty
            state.pending.append(contentsOf: bytes)
            if hadPending { return false }
            // Nobody else has to wake up for the ordinary short answer.
            if outlet == .socket { flush(&state) }
            return !state.pending.isEmpty
        }
        if needsThread { wake.signal() }
    }

    /// Has the device look again whether its session accepts input.
    public func resumeInput() {
        wake.signal()
    }

    /// Ends the connection as soon as everything has been written.
    public func finish() {
        state.withLock { $0.isFinished = true }
        wake.signal()
    }

    // MARK: For the device's thread

    /// Whether output waits for room.
    var hasPendingOutput: Bool {
        state.withLock { !$0.pending.isEmpty }
    }

    /// Whether the connection is to be ended once everything is written.
    var isFinished: Bool {
        state.withLock { $0.isFinished }
    }

    /// Writes what there is room for.
    func flush() {
        state.withLock { flush(&$0) }
    }

    /// Drops all output; from now on nothing is written.
    func close() {
        state.withLock { state in
            state.isOpen = false
            state.pending = []
            state.written = 0
        }
    }

    private func flush(_ state: inout State) {
        guard state.isOpen else { return }
        while state.written < state.pending.count {
            let count: Int
            do {
                count = try DeviceIO.write(state.pending, from: state.written, to: raw, outlet)
            } catch {
                // The reading side will find out why; there is nobody to tell it to.
                state.isFinished = true
                state.written = state.pending.count
                wake.signal()
                break
            }
            guard count > 0 else { return }
            state.written += count
            // A shared outlet may take one piece without blocking, not two.
            if outlet == .shared { break }
        }
        guard state.written == state.pending.count else { return }
        // A large answer must not occupy its memory for as long as the client stays.
        state.pending.removeAll(keepingCapacity: state.pending.capacity <= 1 << 16)
        state.written = 0
    }
}
