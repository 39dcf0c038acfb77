import BerthSystem
import Glibc
import Synchronization

/// A value that one thread waits for and another gives, once.
final class Slot<Value: Sendable>: Sendable {
    private let content = Mutex<Value?>(nil)
    private let wake: WakeEvent?

    init() {
        // Without a descriptor left the waiting thread looks again now and then.
        wake = try? WakeEvent()
    }

    func fill(_ value: Value) {
        content.withLock { $0 = value }
        wake?.signal()
    }

    @available(*, noasync)
    func wait() -> Value {
        while true {
            if let value = content.withLock({ $0 }) { return value }
            guard let wake else {
                usleep(10_000)
                continue
            }
            _ = try? Poll.wait(for: wake.raw, .input)
        }
    }
}
