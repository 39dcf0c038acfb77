import BerthSystem
import BerthWire

/// A sink that several threads may call at once, each with pages of its own.
///
/// Who calls sees to it that no two threads have the same page at the same time.
public protocol ConcurrentPageSink: PageSink, Sendable {}

/// A sink made for one thread, shared by several.
final class LockedPageSink: ConcurrentPageSink {
    private let sink: Serialized<any PageSink>
    private let lock: Serialized<any StreamReceiver>

    /// Shares the lock of the receiver that the sink belongs to.
    init(_ sink: any PageSink, lock: Serialized<any StreamReceiver>) {
        self.sink = Serialized(sink)
        self.lock = lock
    }

    private func withSink<Result>(
        _ body: (any PageSink) throws(StreamError) -> Result
    ) throws(StreamError) -> Result {
        try lock.withLock { _ throws(StreamError) in
            try sink.withLock { sink throws(StreamError) in try body(sink) }
        }
    }

    func write(_ run: DataRun) throws(StreamError) {
        try withSink { sink throws(StreamError) in try sink.write(run) }
    }

    func zero(block: Int, offset: Int, byteCount: Int) throws(StreamError) {
        try withSink { sink throws(StreamError) in
            try sink.zero(block: block, offset: offset, byteCount: byteCount)
        }
    }

    func apply(_ delta: PageDelta) throws(StreamError) {
        try withSink { sink throws(StreamError) in try sink.apply(delta) }
    }

    func settle() throws(StreamError) {
        try withSink { sink throws(StreamError) in try sink.settle() }
    }
}

/// A receiver made for one thread, whose sink several threads call.
///
/// The reader's calls to it and all calls to its sink, unless that is a `ConcurrentPageSink`, come
/// one at a time: often the two are one object.
final class LockedReceiver: StreamReceiver {
    private let receiver: Serialized<any StreamReceiver>

    init(_ receiver: any StreamReceiver) {
        self.receiver = Serialized(receiver)
    }

    var acknowledgesSwitchover: Bool { receiver.withLock { $0.acknowledgesSwitchover } }

    func accept(_ configuration: ConfigurationSection) throws(StreamError) {
        try receiver.withLock { receiver throws(StreamError) in
            try receiver.accept(configuration)
        }
    }

    func accept(
        _ blocks: [StreamBlock],
        ramSectionID: UInt32
    ) throws(StreamError) -> any PageSink {
        let sink = try receiver.withLock { receiver throws(StreamError) in
            try receiver.accept(blocks, ramSectionID: ramSectionID)
        }
        return sink is any ConcurrentPageSink ? sink : LockedPageSink(sink, lock: receiver)
    }

    func accept(section: SectionHeader.Identity) throws(StreamError) {
        try receiver.withLock { receiver throws(StreamError) in
            try receiver.accept(section: section)
        }
    }

    func kept(earlySections: [UInt8]) throws(StreamError) {
        try receiver.withLock { receiver throws(StreamError) in
            try receiver.kept(earlySections: earlySections)
        }
    }

    func answer(_ message: ReturnPathMessage) throws(StreamError) {
        try receiver.withLock { receiver throws(StreamError) in try receiver.answer(message) }
    }

    func progressed(_ progress: StreamProgress) throws(StreamError) {
        try receiver.withLock { receiver throws(StreamError) in
            try receiver.progressed(progress)
        }
    }
}
