import BerthSystem

/// Runs work that takes its time on a thread of its own, so that no thread of the cooperative pool
/// is held up.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        do {
            try NamedThread.start(name: "berth-query") { continuation.resume(returning: body()) }
        } catch {
            // The system is out of threads: late is better than never.
            continuation.resume(returning: body())
        }
    }
}
