internal import CBerthLinux
internal import Glibc

/// A flag that a thread can poll on: raised from anywhere, it stays up until somebody clears it.
///
/// Every blocking call of the data plane waits on its descriptor *and* on one of these, so that a
/// cancel reaches a thread wherever it is. Based on eventfd(2).
public final class WakeEvent: Sendable {
    private let descriptor: OwnedDescriptor

    /// Makes a lowered flag.
    ///
    /// - Throws: `SystemCallError` for `eventfd`, when the process is out of descriptors.
    public init() throws(SystemCallError) {
        let raw = try SystemCall.check("eventfd", "") {
            berth_eventfd(0, berth_eventfd_flags())
        }
        descriptor = OwnedDescriptor(raw)
    }

    /// The descriptor to poll for input; readable while the flag is up.
    public var raw: CInt { descriptor.raw }

    /// Raises the flag: from any thread, any number of times, without blocking.
    public func signal() {
        var one: UInt64 = 1
        // EAGAIN would mean 2^64 - 2 raises without a clear: the flag is up all the same.
        _ = SystemCall.uninterrupted { unsafe write(descriptor.raw, &one, 8) }
    }

    /// Lowers the flag.
    public func clear() {
        var count: UInt64 = 0
        _ = SystemCall.uninterrupted { unsafe read(descriptor.raw, &count, 8) }
    }

    /// Whether the flag is up.
    public var isSignalled: Bool {
        var request = pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0)
        return SystemCall.uninterrupted { unsafe poll(&request, 1, 0) }.value == 1
    }
}
