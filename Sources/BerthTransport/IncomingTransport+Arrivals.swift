internal import BerthSystem
internal import Glibc

extension IncomingTransport {
    /// What a wait for several things at once came to.
    public enum Arrival: Sendable {
        /// Another connection.
        case connection(Channel)
        /// Bytes, or the end, on the channel with this index in the list that was given.
        case bytes(Int)
        /// Neither, until the time was up.
        case nothing
    }

    /// Waits for another connection to a listening socket, and for bytes on channels that were
    /// accepted before.
    ///
    /// Connections come before bytes: who asks again and again has all that were made before the
    /// bytes were sent.
    ///
    /// - Parameters:
    ///   - channels: channels of this transport that are still open.
    ///   - timeout: `nil` waits for ever, zero only looks.
    /// - Throws: `TransportError`, `isAborted` after `abort()`.
    @available(*, noasync, message: "blocks its thread")
    public func nextArrival(
        on channels: [Channel],
        timeout: Duration?
    ) throws(TransportError) -> Arrival {
        let deadline = timeout.map { ContinuousClock.now + $0 }
        while true {
            let ready: SocketListener.Ready
            do {
                ready = try SocketListener.waitForFirst(
                    of: listener?.sockets ?? [],
                    channels.map(\.raw),
                    abort: wake,
                    timeout: deadline.map { ContinuousClock.now.duration(to: $0) }
                )
            } catch {
                throw TransportError("accept from", address.description, cause: error)
            }
            switch ready {
            case .nothing: return .nothing
            case .other(let index): return .bytes(index)
            case .aborted: throw .aborted("accept from", address.description)
            case .connection(let raw):
                // Gone again before it could be taken: wait for the next.
                guard let channel = try takeConnection(on: raw) else { continue }
                return .connection(channel)
            }
        }
    }

    private func takeConnection(on raw: CInt) throws(TransportError) -> Channel? {
        let socket: OwnedDescriptor
        do {
            guard let accepted = try Sockets.acceptNow(on: raw) else { return nil }
            try address.applyOptions(to: accepted.raw)
            socket = accepted
        } catch {
            throw TransportError("accept from", address.description, cause: error)
        }
        return try adopt(socket)
    }
}
