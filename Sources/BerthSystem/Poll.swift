public import Glibc

/// What ended a wait.
public enum PollOutcome: Sendable, Equatable {
    /// The descriptor can be used, or has failed so that using it tells why.
    case ready
    /// The abort event was raised; wins over `ready` when both hold.
    case aborted
    /// The time was up first.
    case timedOut
}

/// What to wait for on a descriptor.
public struct PollEvents: OptionSet, Sendable {
    /// The bits of poll(2).
    public let rawValue: Int16

    /// Takes bits of poll(2).
    public init(rawValue: Int16) { self.rawValue = rawValue }

    /// Data can be read, a connection accepted, or the end has come.
    public static let input = PollEvents(rawValue: Int16(POLLIN))
    /// Something can be written.
    public static let output = PollEvents(rawValue: Int16(POLLOUT))
    /// The peer has stopped sending (sockets only).
    public static let peerClosed = PollEvents(rawValue: 0x2000)  // POLLRDHUP, not in Glibc
    /// Reported only: the other side is gone.
    public static let hangUp = PollEvents(rawValue: Int16(POLLHUP))
    /// Reported only: the descriptor is in error.
    public static let error = PollEvents(rawValue: Int16(POLLERR))
    /// Reported only: the number isn't an open descriptor.
    public static let invalid = PollEvents(rawValue: Int16(POLLNVAL))
}

/// Waiting for descriptors, with signals and time-outs in one place.
public enum Poll {
    /// Waits until a descriptor is ready, the abort event is raised or the time is up.
    ///
    /// - Parameters:
    ///   - raw: the descriptor; hang-up and error count as ready.
    ///   - events: what to wait for.
    ///   - abort: ends the wait when raised; it is left raised.
    ///   - timeout: `nil` waits for ever, zero or less only looks.
    /// - Throws: `SystemCallError` for `poll`.
    @available(*, noasync, message: "blocks its thread")
    public static func wait(
        for raw: CInt,
        _ events: PollEvents,
        abort: WakeEvent? = nil,
        timeout: Duration? = nil
    ) throws(SystemCallError) -> PollOutcome {
        var requests = (
            pollfd(fd: raw, events: events.rawValue, revents: 0),
            pollfd(fd: abort?.raw ?? -1, events: Int16(POLLIN), revents: 0)
        )
        let ready = try unsafe withUnsafeMutableBytes(of: &requests) {
            bytes throws(SystemCallError) in
            try unsafe wait(unsafe bytes.bindMemory(to: pollfd.self), timeout: timeout)
        }
        if ready == 0 { return .timedOut }
        return requests.1.revents != 0 ? .aborted : .ready
    }

    /// Waits on a caller's own array of requests, for loops over many descriptors.
    ///
    /// - Parameters:
    ///   - requests: as poll(2) has them; a negative descriptor is skipped.
    ///   - timeout: `nil` waits for ever, zero or less only looks.
    /// - Returns: how many requests have `revents` set; 0 when the time was up.
    /// - Throws: `SystemCallError` for `poll`.
    @available(*, noasync, message: "blocks its thread")
    public static func wait(
        _ requests: UnsafeMutableBufferPointer<pollfd>,
        timeout: Duration? = nil
    ) throws(SystemCallError) -> Int {
        let deadline = timeout.map { ContinuousClock.now + $0 }
        while true {
            let milliseconds = deadline.map { remaining(until: $0) } ?? -1
            let (value, code) = SystemCall.once {
                unsafe poll(requests.baseAddress, nfds_t(requests.count), milliseconds)
            }
            if value > 0 { return Int(value) }
            if value == 0 || code == EINTR {
                // poll counts whole milliseconds, at most 24 days: ask the clock.
                if let deadline, ContinuousClock.now >= deadline { return 0 }
                continue
            }
            throw SystemCall.failure("poll", "", code)
        }
    }

    /// Milliseconds until `deadline`, rounded up, within what poll(2) takes.
    private static func remaining(until deadline: ContinuousClock.Instant) -> CInt {
        let left = ContinuousClock.now.duration(to: deadline)
        guard left > .zero else { return 0 }
        let (seconds, attoseconds) = left.components
        guard seconds < 1_000_000 else { return 1_000_000_000 }
        let milliseconds =
            seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        return CInt(clamping: milliseconds)
    }
}
