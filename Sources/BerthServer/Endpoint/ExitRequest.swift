import Synchronization

/// The wish to end the endpoint, made once, waited for by whoever runs it.
final class ExitRequest: Sendable {
    private struct State {
        var result: EndpointExit?
        var waiters: [CheckedContinuation<EndpointExit, Never>] = []
    }

    private let state = Mutex(State())

    /// Makes the request; only the first counts.
    func make(_ result: EndpointExit) {
        let waiters = state.withLock { state -> [CheckedContinuation<EndpointExit, Never>] in
            guard state.result == nil else { return [] }
            state.result = result
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters {
            waiter.resume(returning: result)
        }
    }

    /// Waits for the request.
    func wait() async -> EndpointExit {
        await withCheckedContinuation { continuation in
            let result = state.withLock { state in
                if state.result == nil {
                    state.waiters.append(continuation)
                }
                return state.result
            }
            if let result {
                continuation.resume(returning: result)
            }
        }
    }
}
