import BerthSystem
import BerthTransport
import BerthWire
import Glibc
import Synchronization

/// The channels of a source and their threads.
///
/// Overview: the writer takes an empty packet, fills it and hands it out; whichever channel's
/// thread is idle sends it. There are as many packets as keep all threads busy, so a writer that
/// is faster than the channels waits for an empty one.
///
/// Odd cases: the first error of a channel is the error of all, and aborts all of them. The main
/// channel stays for a moment, as the destination may say over it what was wrong; then it is hung
/// up, as the destination may also wait for the channel that broke and never read the main one.
final class MultifdSendChannels: Sendable {
    // SAFETY: a channel is used by its own thread while that has a packet, and by the writer while
    // all threads are idle; a packet by whoever has taken its index from a queue.
    private nonisolated(unsafe) let channels: [MultifdSendChannel]
    private nonisolated(unsafe) let packets: [MultifdPacket]
    private let main: Channel
    private let blockNames: [String]
    // Both queues hold indices of packets.
    private let empty: BoundedQueue<Int>
    private let full: BoundedQueue<Int>
    private let threads = Mutex<[NamedThread]>([])
    private let firstFailure = FirstFailure()
    private let packetCount = Atomic<UInt64>(0)
    /// Raised when the threads are to end.
    private let isEnding: WakeEvent
    private let patience: Duration

    /// Packets for each channel: one that is sent and one that waits for it.
    private static let packetsPerChannel = 2

    /// Prepares channels that are connected.
    ///
    /// - Parameter patience: how long the main channel stays after another has failed.
    init(
        _ channels: [MultifdSendChannel],
        main: Channel,
        blockNames: [String],
        patience: Duration
    ) throws(StreamError) {
        do {
            isEnding = try WakeEvent()
        } catch {
            throw StreamError(.limitExceeded, "\(error)")
        }
        self.patience = patience
        unsafe self.channels = channels
        self.main = main
        self.blockNames = blockNames
        // One more is being filled.
        let count = channels.count * Self.packetsPerChannel + 1
        unsafe packets = (0..<count).map { _ in MultifdPacket() }
        empty = BoundedQueue(capacity: count)
        full = BoundedQueue(capacity: count)
        for index in 0..<count { _ = empty.put(index) }
    }

    /// Sends the first packet of each channel; the threads have not started yet.
    func introduce(_ uuid: GuestUUID?) throws(StreamError) {
        for channel in unsafe channels {
            try check(channel) { () throws(StreamError) in try channel.introduce(uuid) }
        }
    }

    /// Starts the threads.
    func start() throws(StreamError) {
        for id in unsafe channels.indices {
            do {
                let thread = try NamedThread.start(name: "berth-send-\(id)") {
                    unsafe self.run(self.channels[id])
                }
                threads.withLock { $0.append(thread) }
            } catch {
                throw StreamError(.limitExceeded, "\(error)")
            }
        }
    }

    private func run(_ channel: MultifdSendChannel) {
        var follower = NUMANodes.Follower()
        while let index = full.take() {
            let packet = unsafe packets[index]
            if let page = unsafe packet.pieces.first?.iov_base { unsafe follower.follow(page) }
            do throws(StreamError) {
                try channel.send(packet, blockName: blockNames[packet.block])
            } catch {
                fail(channel, error)
                full.done()
                hangUpMain()
                return
            }
            _ = empty.put(index)
            full.done()
        }
    }

    /// Ends a wait of the writer's for a main channel that nobody reads, unless it goes on anyway.
    private func hangUpMain() {
        let outcome = try? Poll.wait(for: isEnding.raw, .input, timeout: patience)
        if outcome != .ready { main.hangUp() }
    }

    // MARK: The writer's side

    /// Waits for an empty packet.
    func takeEmpty() throws(StreamError) -> Int {
        guard let index = empty.take() else { throw failure }
        return index
    }

    /// The packet of an index that was taken.
    subscript(_ index: Int) -> MultifdPacket { unsafe packets[index] }

    /// Has a packet sent.
    func handOut(_ index: Int) throws(StreamError) {
        unsafe packets[index].number = nextNumber()
        guard full.put(index) else { throw failure }
    }

    /// Waits until all packets have left, and for zero-copy until they have arrived.
    func settle() throws(StreamError) {
        full.waitUntilIdle()
        for channel in unsafe channels {
            try check(channel) { () throws(StreamError) in try channel.settle() }
        }
    }

    /// Sends a sync point on each channel, after everything that was handed out.
    func sync() throws(StreamError) {
        try settle()
        for channel in unsafe channels {
            let number = nextNumber()
            try check(channel) { () throws(StreamError) in try channel.sync(number: number) }
        }
    }

    private func nextNumber() -> UInt64 {
        packetCount.add(1, ordering: .relaxed).oldValue
    }

    /// Does something on a channel whose thread is idle.
    private func check(
        _ channel: MultifdSendChannel,
        _ body: () throws(StreamError) -> Void
    ) throws(StreamError) {
        try firstFailure.check()
        do {
            try body()
        } catch {
            throw fail(channel, error)
        }
    }

    // MARK: Failure and end

    /// The error that comes first, now or when this was called before.
    @discardableResult
    private func fail(_ channel: MultifdSendChannel, _ error: StreamError) -> StreamError {
        let error = StreamError(
            error.code,
            "multifd channel \(channel.id): \(error.message)",
            hint: error.hint
        )
        let first = firstFailure.note(error)
        abort()
        close()
        return first
    }

    private var failure: StreamError {
        firstFailure.error ?? StreamError(.aborted, "the multifd channels were closed")
    }

    /// The error of a channel, if one has failed.
    var error: StreamError? { firstFailure.error }

    private func abort() {
        for channel in unsafe channels { channel.channel.abort() }
    }

    private func close() {
        empty.close(discardsRest: true)
        full.close(discardsRest: true)
    }

    /// Ends the threads.
    ///
    /// - Parameter isFinished: whether all was sent; otherwise what is being sent is given up.
    func end(isFinished: Bool) {
        if !isFinished { abort() }
        close()
        isEnding.signal()
        let threads = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in threads { thread.join() }
    }
}
