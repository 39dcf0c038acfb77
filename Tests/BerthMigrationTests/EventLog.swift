import BerthQAPI
import Synchronization

/// The events of an endpoint, in the letters of the transcripts: `M setup`, `P 1`, `STOP`.
final class EventLog: Sendable {
    private struct Waiter {
        let id: Int
        let isFulfilled: @Sendable ([String]) -> Bool
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var events: [String] = []
        var waiters: [Waiter] = []
        var nextID = 0
    }

    private let state = Mutex(State())

    /// Notes an event and wakes who waits for it.
    func note(_ event: QMPEvent) {
        let text =
            switch event {
            case .stop: "STOP"
            case .resume: "RESUME"
            case .migration(let status): "M \(status.rawValue)"
            case .migrationPass(let pass): "P \(pass)"
            case .xMappedRAMImageChanged(let image): "X_MAPPED_RAM_IMAGE_CHANGED \(image)"
            default: event.name
            }
        note(text)
    }

    func note(_ text: String) {
        let ready = state.withLock { state in
            state.events.append(text)
            let ready = state.waiters.filter { $0.isFulfilled(state.events) }
            state.waiters.removeAll { $0.isFulfilled(state.events) }
            return ready
        }
        for waiter in ready {
            waiter.continuation.resume()
        }
    }

    var events: [String] { state.withLock { $0.events } }

    /// Forgets what came so far.
    func clear() { state.withLock { $0.events = [] } }

    /// Returns once this event has come `count` times, also if it has come before; or when the
    /// test is cancelled because its time is over.
    func wait(for event: String, count: Int = 1) async {
        await wait { events in events.count { $0 == event } >= count }
    }

    /// Returns once one of these events has come.
    func wait(forAnyOf wanted: [String]) async {
        await wait { events in events.contains { wanted.contains($0) } }
    }

    /// Returns once the events so far satisfy a condition.
    func wait(_ isFulfilled: @escaping @Sendable ([String]) -> Bool) async {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if isFulfilled(state.events) || Task.isCancelled { return true }
                    state.waiters.append(
                        Waiter(id: id, isFulfilled: isFulfilled, continuation: continuation)
                    )
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                let index = state.waiters.firstIndex { $0.id == id }
                return index.map { state.waiters.remove(at: $0) }
            }
            waiter?.continuation.resume()
        }
    }
}
