import BerthMemory
import BerthSystem
import Synchronization

/// What an `ExternalWriterPort` and its thread share.
final class ExternalWriterControl: Sendable {
    /// How far it is with a peer.
    enum Phase: Sendable {
        case attaching
        case paused
        case running
        /// Told to pause, and hasn't answered yet.
        case pausing
    }

    /// How a peer's writes are found.
    enum Tracking: Sendable {
        case source(PeerDirtySource)
        /// They can't be: why.
        case impossible(String)
    }

    struct Peer: Sendable {
        var processID: Int32
        var phase = Phase.attaching
        var tracking: Tracking?
    }

    struct State {
        var mayWrite = false
        var mustEnd = false
        var peer: Peer?
        var lastRefusal: String?
    }

    let id: String
    let block: RAMBlock
    let memory: SharedMemory
    /// How long a peer has for its ATTACH.
    let attachLimit: Duration
    /// Makes the thread look at `state`.
    let wake: WakeEvent
    /// Raised while there is nobody who may write: no peer, or one that has said that it pauses.
    let quiet: WakeEvent
    let state = Mutex(State())

    init(
        id: String,
        block: RAMBlock,
        memory: SharedMemory,
        attachLimit: Duration
    ) throws(SystemCallError) {
        self.id = id
        self.block = block
        self.memory = memory
        self.attachLimit = attachLimit
        wake = try WakeEvent()
        quiet = try WakeEvent()
        quiet.signal()
    }

    // MARK: For the thread

    /// What the peer has to be told now; it counts as told.
    func nextOrder() -> EndpointMessage? {
        state.withLock { state in
            switch (state.peer?.phase, state.mayWrite) {
            case (.paused, true):
                state.peer?.phase = .running
                quiet.clear()
                return .run
            case (.running, false):
                state.peer?.phase = .pausing
                return .pause
            default: return nil
            }
        }
    }

    func peerConnected(_ processID: Int32) {
        state.withLock { $0.peer = Peer(processID: processID) }
    }

    /// The peer is known well enough to be told to write.
    func peerAttached() {
        state.withLock { $0.peer?.phase = .paused }
    }

    func setTracking(_ tracking: Tracking) {
        state.withLock { $0.peer?.tracking = tracking }
    }

    func peerPaused() throws(PeerRefusal) {
        let isExpected = state.withLock { state in
            guard state.peer?.phase == .pausing else { return false }
            state.peer?.phase = .paused
            quiet.signal()
            return true
        }
        guard isExpected else { throw PeerRefusal("PAUSED without a PAUSE before") }
    }

    func peerGone(_ refusal: PeerRefusal?) {
        state.withLock { state in
            state.peer = nil
            if let refusal { state.lastRefusal = refusal.message }
            quiet.signal()
        }
    }

    func note(_ refusal: PeerRefusal) {
        state.withLock { $0.lastRefusal = refusal.message }
    }

    var mustEnd: Bool { state.withLock { $0.mustEnd } }

    // MARK: For the owner

    func setMayWrite(_ mayWrite: Bool) -> Bool {
        let before = state.withLock { state in
            let before = state.mayWrite
            state.mayWrite = mayWrite
            return before
        }
        wake.signal()
        return before
    }

    /// Whether nobody writes; if somebody still does, what was ordered before holds again.
    func isQuiet(orElse mayWrite: Bool) -> Bool {
        let isQuiet = state.withLock { state in
            if quiet.isSignalled { return true }
            state.mayWrite = mayWrite
            return false
        }
        wake.signal()
        return isQuiet
    }

    func end() {
        state.withLock { $0.mustEnd = true }
        wake.signal()
    }
}
