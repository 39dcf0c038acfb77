import BerthSystem
import Synchronization

/// Which mechanism finds the writes of this process.
public enum DirtyTrackingMode: Sendable, CaseIterable {
    /// The cheapest that works: marks in software, which every writer in this process makes.
    case auto
    /// Marks in software.
    case software
    /// The kernel, which also sees writers that don't mark.
    case kernel
}

/// Finds writes to one RAM block, for any number of clients at once.
///
/// Writers in this process are found by the mechanism that `choose` names, others by the sources
/// that `add` brings. Sources work only while there are clients.
public final class DirtyTracking: Sendable {
    private struct State {
        var own: any DirtySource
        var others: [(token: Int, source: any DirtySource)] = []
        var lastToken = 0
        /// What each client has yet to be told.
        var pending: [Int: PageBitmap] = [:]
        /// Set once a source has failed: nobody can rely on the marks until all begin anew.
        var failure: DirtyTrackingError?

        var sources: [any DirtySource] { [own] + others.map(\.source) }

        mutating func newToken() -> Int {
            lastToken += 1
            return lastToken
        }
    }

    private let log: DirtyLog
    private let mapping: MemoryMapping
    private let state: Mutex<State>

    init(_ log: DirtyLog, _ mapping: MemoryMapping) {
        self.log = log
        self.mapping = mapping
        state = Mutex(State(own: SoftwareDirtySource(log)))
    }

    /// How writes are found, this process's first.
    public var mechanisms: [DirtyTrackingMechanism] {
        state.withLock { $0.sources.map(\.mechanism) }
    }

    /// Whether there are clients.
    public var isActive: Bool {
        state.withLock { !$0.pending.isEmpty }
    }

    /// Chooses how writers in this process are found, after a check that it can work.
    ///
    /// - Throws: `DirtyTrackingError` if it can't, or if there are clients that another way serves.
    public func choose(_ mode: DirtyTrackingMode) throws(DirtyTrackingError) {
        try state.withLock { state throws(DirtyTrackingError) in
            let mechanism = mode == .kernel ? DirtyTrackingMechanism.kernel : .software
            if mechanism == state.own.mechanism, !state.pending.isEmpty { return }
            guard state.pending.isEmpty else {
                throw DirtyTrackingError(
                    "cannot change how writes are found while they are being tracked",
                    hint: "wait until the other migration or measurement has ended"
                )
            }
            switch mechanism {
            case .kernel:
                let source = KernelDirtySource(mapping)
                try source.probe()
                state.own = source
            case .software, .peer:
                state.own = SoftwareDirtySource(log)
            }
        }
    }

    /// Adds a source for writers that this process doesn't see.
    ///
    /// - Returns: a token for `remove`.
    /// - Throws: `DirtyTrackingError` while there are clients: they could miss writes.
    public func add(_ source: any DirtySource) throws(DirtyTrackingError) -> Int {
        try state.withLock { state throws(DirtyTrackingError) in
            guard state.pending.isEmpty else {
                throw DirtyTrackingError(
                    "cannot add a writer to memory while its writes are being tracked",
                    hint: "connect it before the migration or after it"
                )
            }
            let token = state.newToken()
            state.others.append((token, source))
            return token
        }
    }

    /// Removes a source; what it has found until now isn't lost.
    public func remove(_ token: Int) {
        state.withLock { state in
            guard let index = state.others.firstIndex(where: { $0.token == token }) else { return }
            if !state.pending.isEmpty {
                Self.collect([state.others[index].source], log.pageCount, &state)
                state.others[index].source.stop()
            }
            state.others.remove(at: index)
        }
    }

    /// Makes a client, which is told of every write from now on.
    ///
    /// - Throws: `DirtyTrackingError` if a source can't start; then nothing is tracked.
    public func begin() throws(DirtyTrackingError) -> DirtyClient {
        try state.withLock { state throws(DirtyTrackingError) in
            if let failure = state.failure { throw failure }
            if state.pending.isEmpty {
                try Self.start(state.sources)
            } else {
                // Marks made before now are the others', not the new client's.
                Self.collect(state.sources, log.pageCount, &state)
            }
            let token = state.newToken()
            state.pending[token] = PageBitmap(pageCount: log.pageCount)
            return DirtyClient(self, token)
        }
    }

    /// Moves all that `client` hasn't been told into `bitmap`.
    fileprivate func collect(
        for client: Int,
        into bitmap: inout PageBitmap
    ) throws(DirtyTrackingError) -> Int {
        let found = try state.withLock { state throws(DirtyTrackingError) -> PageBitmap? in
            guard state.pending[client] != nil else { return nil }
            Self.collect(state.sources, log.pageCount, &state)
            if let failure = state.failure { throw failure }
            return state.pending.updateValue(PageBitmap(pageCount: log.pageCount), forKey: client)
        }
        guard let found else { return 0 }
        return bitmap.formUnion(found)
    }

    fileprivate func end(_ client: Int) {
        state.withLock { state in
            guard state.pending.removeValue(forKey: client) != nil, state.pending.isEmpty else {
                return
            }
            for source in state.sources { source.stop() }
            state.failure = nil
        }
    }

    /// Starts all sources or none.
    private static func start(_ sources: [any DirtySource]) throws(DirtyTrackingError) {
        for (index, source) in sources.enumerated() {
            do throws(DirtyTrackingError) {
                try source.start()
            } catch {
                for source in sources[..<index] { source.stop() }
                throw error
            }
        }
    }

    /// Has sources tell what was written, and keeps it for every client.
    private static func collect(
        _ sources: [any DirtySource],
        _ pageCount: Int,
        _ state: inout State
    ) {
        guard state.failure == nil else { return }
        var found = PageBitmap(pageCount: pageCount)
        do {
            for source in sources { _ = try source.collect(into: &found) }
        } catch {
            state.failure = error
        }
        for client in state.pending.keys { _ = state.pending[client]?.formUnion(found) }
    }
}

/// Somebody who is told of every write to a block, once for each time it was asked.
///
/// Ends with its last reference, or by `end`.
public final class DirtyClient: Sendable {
    private let tracking: DirtyTracking
    private let token: Int

    fileprivate init(_ tracking: DirtyTracking, _ token: Int) {
        self.tracking = tracking
        self.token = token
    }

    deinit { end() }

    /// Adds every page that was written since the client began, or since the last call, to `bitmap`.
    ///
    /// A page that is written meanwhile is in this result or the next one, or in both.
    /// - Returns: how many pages were not set in `bitmap` before; 0 after `end`.
    /// - Throws: `DirtyTrackingError` if writes may have been missed: from then on each time.
    public func collect(into bitmap: inout PageBitmap) throws(DirtyTrackingError) -> Int {
        try tracking.collect(for: token, into: &bitmap)
    }

    /// Ends; the last client to do so stops the tracking.
    public func end() {
        tracking.end(token)
    }
}
