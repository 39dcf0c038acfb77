import BerthSystem
import Glibc

/// What the thread of an `ExternalWriterPort` does: greets processes, and passes orders on.
struct ExternalWriterLoop {
    /// A pause after a failure that would otherwise repeat itself at once (such as `EMFILE`).
    private static let failurePause = Duration.milliseconds(100)

    private let control: ExternalWriterControl
    private let listener: CInt
    /// The memory's file.
    private let memory: CInt
    private var peer: ExternalPeer?
    /// When the listener may be looked at again.
    private var acceptTime = ContinuousClock.now

    /// Takes descriptors that stay open while the loop runs.
    init(_ control: ExternalWriterControl, listener: CInt, memory: CInt) {
        self.control = control
        self.listener = listener
        self.memory = memory
    }

    mutating func run() {
        while true {
            let ready = wait()
            control.wake.clear()
            guard !control.mustEnd else { break }
            // The peer first: one that has gone makes room for the next.
            servePeer(mayRead: ready.peer)
            if ready.listener { accept() }
        }
        dismissPeer(nil)
    }

    private func wait() -> (listener: Bool, peer: Bool) {
        let now = ContinuousClock.now
        let mayAccept = acceptTime <= now
        let deadline = [peer?.deadline, mayAccept ? nil : acceptTime].compactMap(\.self).min()
        let input = Int16(POLLIN)
        var requests = [
            pollfd(fd: control.wake.raw, events: input, revents: 0),
            pollfd(fd: mayAccept ? listener : -1, events: input, revents: 0),
            pollfd(fd: peer?.raw ?? -1, events: input, revents: 0),
        ]
        // Fails only without memory; nothing is ready then.
        _ = try? unsafe requests.withUnsafeMutableBufferPointer { buffer throws(SystemCallError) in
            try unsafe Poll.wait(buffer, timeout: deadline.map { now.duration(to: $0) })
        }
        return (requests[1].revents != 0, requests[2].revents != 0)
    }

    private mutating func servePeer(mayRead: Bool) {
        guard let peer else { return }
        do throws(PeerRefusal) {
            if mayRead {
                guard try peer.receive() else {
                    dismissPeer(nil)
                    return
                }
            }
            try peer.sendOrders()
        } catch {
            dismissPeer(error)
        }
    }

    private mutating func accept() {
        let connection: OwnedDescriptor
        do {
            guard let accepted = try Sockets.acceptNow(on: listener) else { return }
            connection = accepted
        } catch {
            acceptTime = .now + Self.failurePause
            return
        }
        guard peer == nil else {
            control.note(refuse(PeerRefusal("another process writes this memory"), connection.raw))
            return
        }
        do throws(PeerRefusal) {
            peer = try ExternalPeer(connection, memory: memory, control)
        } catch {
            control.note(error)
        }
    }

    /// Ends the connection.
    private mutating func dismissPeer(_ refusal: PeerRefusal?) {
        guard let peer else { return }
        if let refusal { _ = refuse(refusal, peer.raw) }
        // What it wrote has been taken over before anybody is told that it is gone.
        peer.leave()
        self.peer = nil
        control.peerGone(refusal)
    }

    private func refuse(_ refusal: PeerRefusal, _ raw: CInt) -> PeerRefusal {
        // If it doesn't even read that, closing the connection has to say enough.
        try? ExternalPeer.send(.error(refusal.message), to: raw)
        return refusal
    }
}
