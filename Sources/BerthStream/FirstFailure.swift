import Synchronization

/// The first of the failures of several threads: the cause of those that follow.
final class FirstFailure: Sendable {
    private let first = Mutex<StreamError?>(nil)

    /// Keeps a failure if it is the first.
    ///
    /// - Returns: the first, which may be another one.
    func note(_ failure: StreamError) -> StreamError {
        first.withLock { first in
            first = first ?? failure
            return first ?? failure
        }
    }

    /// The failure, if there was one.
    var error: StreamError? { first.withLock { $0 } }

    /// Throws the failure, if there was one.
    func check() throws(StreamError) {
        if let error { throw error }
    }
}
