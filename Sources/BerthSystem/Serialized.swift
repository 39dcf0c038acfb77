internal import Synchronization

/// Something made for one thread, lent to several, one at a time.
public final class Serialized<Value>: Sendable {
    // SAFETY: used only with the lock held. Who makes it sees to it that nobody gets at the value
    // otherwise as long as several threads do through here.
    private nonisolated(unsafe) var value: Value
    private let lock = Mutex<Void>(())

    /// Wraps `value`, which is used through here only from now on.
    public init(_ value: Value) {
        unsafe self.value = value
    }

    /// Calls `body` while no other thread does.
    ///
    /// It must not come here again.
    public func withLock<Result, Failure>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try lock.withLock { _ throws(Failure) in unsafe try body(&value) }
    }
}
