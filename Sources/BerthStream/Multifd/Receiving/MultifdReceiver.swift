import BerthMemory
import BerthSystem
public import BerthTransport
public import BerthWire
import Synchronization

/// The multifd channels of an incoming migration: pages that come beside the main stream.
///
/// Overview: one thread for each channel reads packets, judges them and puts their pages where they
/// belong. At a sync point a thread waits until the reader of the main stream has come to the same
/// point, and that waits for all threads: so a page that is sent again replaces the older one, on
/// whichever channels the two come.
///
/// Function: `StreamReader.read` starts the threads and has ended them when it returns. The first
/// failure of a channel ends the main channel's input and all other threads; it is the one that
/// the reader throws.
///
/// Odd cases: sources with machine types up to 8.0 have a sync point at the end of each RAM
/// section, and no word for it; they are known by the missing word in the first one. Sources before
/// 9.0 send pages and sync point in one packet. Format: docs/wire/multifd.md.
public final class MultifdReceiver: Sendable {
    /// Where pages go, once the stream has listed its blocks.
    struct Target: Sendable {
        let blocks: [StreamBlock]
        let indexes: [String: Int]
        let sink: any ConcurrentPageSink
    }

    private struct State: Sendable {
        var target: Target?
        var failure: StreamError?
        var isEnding = false
        /// Sync points that all channels have come to.
        var passedCount = 0
        /// Sync points that each channel has come to.
        var reachedCounts: [Int]
        /// Channels whose threads have come to the end.
        var closed: Set<Int> = []
        /// Those of them that had pages behind their last sync point.
        var unsynchronized: Set<Int> = []
    }

    private enum SyncOutcome {
        case allAreThere
        case failed(StreamError)
        case closed(Int)
    }

    /// How long all channels may be silent while the main stream waits for their sync point.
    ///
    /// The source has sent everything by then, so that only a network can hold it back.
    public static let stallTime = Duration.seconds(120)

    /// The method that packets must be compressed with; nil takes what each channel begins with.
    let method: MultifdMethod?
    /// Whether there is a sync point at the end of each section; nil where it shows.
    let flushesEachSection: Bool?

    private let channels: [Channel]
    private let main: Channel
    private let stallTime: Duration
    private let state: WatchedState<State>
    private let threads = Mutex<[NamedThread]>([])
    private let isStopping = Atomic<Bool>(false)
    private let dataPageCount = Atomic<UInt64>(0)
    private let zeroPageCount = Atomic<UInt64>(0)
    private let byteCount = Atomic<UInt64>(0)

    /// Makes a receiver of channels whose initial packets have been read.
    ///
    /// - Parameters:
    ///   - channels: by id.
    ///   - main: its input is ended when a channel fails.
    ///   - method: what `multifd-compression` asks for; nil takes any.
    ///   - flushesEachSection: nil finds it out.
    ///   - stallTime: see the constant.
    public init(
        _ channels: [Channel],
        main: Channel,
        method: MultifdMethod? = nil,
        flushesEachSection: Bool? = nil,
        stallTime: Duration = MultifdReceiver.stallTime
    ) {
        self.channels = channels
        self.main = main
        self.method = method
        self.flushesEachSection = flushesEachSection
        self.stallTime = stallTime
        state = WatchedState(State(reachedCounts: Array(repeating: 0, count: channels.count)))
    }

    /// What came over the channels so far.
    var progress: StreamProgress {
        var progress = StreamProgress()
        progress.dataPageCount = dataPageCount.load(ordering: .relaxed)
        progress.zeroPageCount = zeroPageCount.load(ordering: .relaxed)
        progress.streamByteCount = byteCount.load(ordering: .relaxed)
        return progress
    }

    // MARK: The main stream's side

    /// Starts the threads.
    func start() throws(StreamError) {
        for (id, channel) in channels.enumerated() {
            let thread: NamedThread
            do {
                thread = try NamedThread.start(name: "berth-recv-\(id)") {
                    MultifdChannelReader(id, channel, self).run()
                }
            } catch {
                throw StreamError(.limitExceeded, "no thread for multifd channel \(id): \(error)")
            }
            threads.withLock { $0.append(thread) }
        }
    }

    /// Says where pages go; packets wait for it.
    func begin(_ target: Target) {
        state.change { $0.target = target }
    }

    /// Waits until every channel has come to its next sync point, and lets them go on.
    ///
    /// - Throws: the failure of a channel; `.truncated` if one was closed before its sync point or
    ///   all have been silent for too long.
    func synchronize() throws(StreamError) {
        while true {
            let before = byteCount.load(ordering: .relaxed)
            let outcome: SyncOutcome? = state.wait(timeout: stallTime) { state in
                if let failure = state.failure { return .failed(failure) }
                let late = state.reachedCounts.indices.filter {
                    state.reachedCounts[$0] <= state.passedCount
                }
                if late.isEmpty { return .allAreThere }
                return late.first { state.closed.contains($0) }.map { .closed($0) }
            }
            switch outcome {
            case .allAreThere:
                state.change { $0.passedCount += 1 }
                return
            case .failed(let failure):
                throw failure
            case .closed(let id):
                throw StreamError(
                    .truncated,
                    "multifd channel \(id) was closed before its sync point",
                    hint: "look at the source's own messages"
                )
            case nil:
                guard byteCount.load(ordering: .relaxed) == before else { continue }
                throw StreamError(
                    .truncated,
                    "no multifd channel has sent anything for \(stallTime), and not all have come "
                        + "to the main stream's sync point",
                    hint: "look at the source and at the network between"
                )
            }
        }
    }

    /// Throws if a channel has failed.
    func check() throws(StreamError) {
        guard let failure = state.value.failure else { return }
        throw failure
    }

    /// Ends the threads.
    ///
    /// - Throws: the failure of a channel; `.malformed` if pages came behind the last sync point,
    ///   so that they may be older than others.
    func finish() throws(StreamError) {
        end()
        try check()
        guard let id = state.value.unsynchronized.min() else { return }
        throw StreamError(
            .malformed,
            "pages came over multifd channel \(id) behind the last sync point"
        )
    }

    /// Ends the threads wherever they are; the channels stay open.
    func end() {
        state.change { $0.isEnding = true }
        stop()
        for thread in threads.withLock({ $0.take() }) {
            thread.join()
        }
    }

    private func stop() {
        isStopping.store(true, ordering: .relaxed)
        for channel in channels {
            channel.endInput()
        }
    }

    // MARK: The threads' side

    /// Whether threads are to end at their next packet.
    var isOver: Bool { isStopping.load(ordering: .relaxed) }

    /// Waits until the stream has listed its blocks.
    ///
    /// Returns nil if the threads are to end.
    func waitForTarget() -> Target? {
        state.wait { state -> Target?? in
            if state.isEnding || state.failure != nil { return .some(nil) }
            return state.target.map { .some($0) }
        }
        .flatMap { $0 }
    }

    /// Waits at a sync point until all are there.
    ///
    /// Returns false if the threads are to end.
    func waitForOthers(_ id: Int) -> Bool {
        let own = state.change { state in
            state.reachedCounts[id] += 1
            return state.reachedCounts[id]
        }
        return state.wait { state -> Bool? in
            if state.isEnding || state.failure != nil { return false }
            return state.passedCount >= own ? true : nil
        } ?? false
    }

    /// Notes that a channel has come to its end, behind a whole packet.
    func close(_ id: Int, hasUnsynchronizedPages: Bool) {
        state.change { state in
            state.closed.insert(id)
            if hasUnsynchronizedPages { state.unsynchronized.insert(id) }
        }
    }

    /// Notes a failure; all others end for it.
    func fail(_ error: StreamError) {
        let isFirst = state.change { state in
            // What a thread meets when it is ended is no failure.
            guard state.failure == nil, !state.isEnding else { return false }
            state.failure = error
            return true
        }
        guard isFirst else { return }
        stop()
        main.endInput()
    }

    /// Counts bytes of a channel.
    func count(byteCount count: Int) {
        byteCount.add(UInt64(count), ordering: .relaxed)
    }

    /// Counts the pages of a packet that is in place.
    func count(dataPages: Int, zeroPages: Int) {
        dataPageCount.add(UInt64(dataPages), ordering: .relaxed)
        zeroPageCount.add(UInt64(zeroPages), ordering: .relaxed)
    }
}

extension Array {
    /// Gives all elements away.
    fileprivate mutating func take() -> [Element] {
        defer { self = [] }
        return self
    }
}
