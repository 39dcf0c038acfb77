import BerthQAPI
import Synchronization

/// Lets a thread that has nothing else to do wait for asynchronous work.
///
/// Only the process's main thread does that; a thread of the cooperative pool never may.
enum Blocking {
    /// Runs `body` and blocks the calling thread until it is done.
    @available(*, noasync)
    static func value<Value: Sendable>(
        _ body: @escaping @Sendable () async -> Value
    ) -> Value {
        let slot = Slot<Value>()
        Task { slot.fill(await body()) }
        return slot.wait()
    }

    /// The same for work that can fail.
    @available(*, noasync)
    static func wait(
        _ body: @escaping @Sendable () async throws(QMPError) -> Void
    ) throws(QMPError) {
        let failure = value { () async -> QMPError? in
            do throws(QMPError) {
                try await body()
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }
}
