/// What is known of a process that writes guest memory.
public struct ExternalWriterStatus: Sendable, Equatable {
    /// What the process does.
    public enum State: String, Sendable {
        /// There is none.
        case absent
        /// It is connected, and maps the memory.
        case attaching
        /// It waits.
        case paused
        /// It may write.
        case running
        /// It was told to stop, and hasn't said that it has.
        case pausing
    }

    /// What it does.
    public let state: State
    /// Its number; nil if there is none, 0 if it lives in another pid namespace.
    public let processID: Int32?
    /// Whether its writes are found, by the mechanism `peer`.
    public let isTracked: Bool
    /// Why they aren't; nil if they are, or if there is no process.
    public let untrackedReason: String?
    /// Why the last process that was sent away had to go.
    public let lastRefusal: String?

    init(_ state: ExternalWriterControl.State) {
        processID = state.peer?.processID
        lastRefusal = state.lastRefusal
        self.state =
            switch state.peer?.phase {
            case nil: .absent
            case .attaching: .attaching
            case .paused: .paused
            case .running: .running
            case .pausing: .pausing
            }
        switch state.peer?.tracking {
        case .source(let source) where source.presence == .unmapped:
            isTracked = false
            untrackedReason = "it no longer maps the memory where it said"
        case .source:
            isTracked = true
            untrackedReason = nil
        case .impossible(let reason):
            isTracked = false
            untrackedReason = reason
        case nil:
            isTracked = false
            untrackedReason = nil
        }
    }
}
