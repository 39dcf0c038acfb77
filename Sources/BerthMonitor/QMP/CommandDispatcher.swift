internal import Synchronization

/// Runs the in-band commands of all monitors one after the other, in one order.
///
/// Each source that has something to run waits its turn; after one piece of work it queues up
/// again, so that a monitor with many requests doesn't keep the others waiting.
public final class CommandDispatcher: Sendable {
    /// Something that has work.
    protocol Source: Sendable {
        /// Does one piece of work.
        ///
        /// - Returns: whether there is more, for another turn.
        func runNext() async -> Bool

        /// Is told instead that its turn never comes.
        func cancel()
    }

    private struct State: Sendable {
        var isClosed = false
        var isBusy = false
        var idleWaiters: [CheckedContinuation<Void, Never>] = []
    }

    /// Shared with the task, which mustn't keep the dispatcher itself alive.
    private final class Gate: Sendable {
        let state = Mutex(State())

        /// - Returns: whether work may begin.
        func enter() -> Bool {
            state.withLock { state in
                state.isBusy = !state.isClosed
                return state.isBusy
            }
        }

        func leave() {
            let waiters = state.withLock { state in
                defer { state.idleWaiters = [] }
                state.isBusy = false
                return state.idleWaiters
            }
            for waiter in waiters { waiter.resume() }
        }
    }

    private let gate = Gate()
    private let continuation: AsyncStream<any Source>.Continuation

    /// Starts with nothing to do.
    public init() {
        // Unbounded, but a monitor is in it at most once.
        let (stream, continuation) = AsyncStream.makeStream(of: (any Source).self)
        self.continuation = continuation
        Task { [gate] in
            for await source in stream {
                guard gate.enter() else {
                    source.cancel()
                    continue
                }
                let hasMore = await source.runNext()
                gate.leave()
                if hasMore { continuation.yield(source) }
            }
        }
    }

    deinit {
        continuation.finish()
    }

    /// Has a source take its turn.
    func enqueue(_ source: any Source) {
        if case .terminated = continuation.yield(source) { source.cancel() }
    }

    /// Runs `body` in its turn among all monitors' commands.
    ///
    /// Not to be called from within such a command, which would wait for itself.
    ///
    /// - Returns: what `body` returns; `nil` if the dispatcher was closed first.
    public func perform<Result: Sendable>(
        _ body: @escaping @Sendable () async -> Result
    ) async -> Result? {
        await withCheckedContinuation { continuation in
            enqueue(ClosureSource(body: body, continuation: continuation))
        }
    }

    /// Lets no further command begin.
    ///
    /// The one that is running ends and is answered.
    public func close() {
        gate.state.withLock { $0.isClosed = true }
    }

    /// Waits until no command is running.
    ///
    /// - Parameter limit: return after this time at the latest.
    func waitUntilIdle(limit: Duration) async {
        let idle = Task { [gate] in
            await withCheckedContinuation { continuation in
                let isIdle = gate.state.withLock { state in
                    if state.isBusy { state.idleWaiters.append(continuation) }
                    return !state.isBusy
                }
                if isIdle { continuation.resume() }
            }
        }
        let timer = Task { [gate] in
            do {
                try await Task.sleep(for: limit)
                gate.leave()
            } catch {
                // Cancelled: the command ended in time.
            }
        }
        await idle.value
        timer.cancel()
    }
}

private struct ClosureSource<Result: Sendable>: CommandDispatcher.Source {
    let body: @Sendable () async -> Result
    let continuation: CheckedContinuation<Result?, Never>

    func runNext() async -> Bool {
        continuation.resume(returning: await body())
        return false
    }

    func cancel() {
        continuation.resume(returning: nil)
    }
}
