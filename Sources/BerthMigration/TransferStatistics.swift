public import BerthStream
import Synchronization

/// The numbers of one migration, as `query-migrate` shows them.
public struct TransferCounters: Sendable, Equatable {
    /// Bytes handed to the channel: headers, pages, device state.
    public var transferredByteCount: UInt64 = 0
    /// Those of them that went over multifd channels, or were written by their threads.
    public var channelByteCount: UInt64 = 0
    /// Sends that were to be made without a copy and were copied all the same.
    public var zeroCopyFallbackCount: UInt64 = 0
    /// Pages sent as zero.
    public var zeroPageCount: UInt64 = 0
    /// Pages sent with content.
    public var dataPageCount: UInt64 = 0
    /// Pages sent as deltas.
    public var deltaPageCount: UInt64 = 0
    /// What delta compression does; nil if it is off.
    public var deltas: DeltaCounters?
    /// RAM bytes sent while the guest could run.
    public var precopyByteCount: UInt64 = 0
    /// RAM bytes sent while the guest was stopped.
    public var downtimeByteCount: UInt64 = 0
    /// Pages known to be dirty and not sent yet.
    public var remainingPageCount: UInt64 = 0
    /// The same when the last sync was done.
    public var dirtyPageCountAtSync: UInt64 = 0
    /// Sum of all block sizes in bytes.
    public var totalByteCount: UInt64 = 0
    /// Dirty bitmap syncs so far.
    public var syncCount: UInt64 = 0
    /// Pages found dirty per second between the last two syncs more than a second apart.
    public var dirtyPagesPerSecond: UInt64 = 0
    /// Throughput of the last window of 100 ms or more, in 10^6 bit/s.
    public var megabitsPerSecond: Double = 0
    /// Pages sent per second in the last window.
    public var pagesPerSecond: UInt64 = 0
    /// Milliseconds that the guest is expected to be stopped for.
    public var expectedDowntime: UInt64 = 0
    /// Milliseconds from the start of the data thread to the end of set-up.
    public var setupTime: UInt64 = 0

    /// The kernel's number of the data thread; 0 before it runs.
    public var threadID: Int32 = 0

    /// All zero.
    public init() {}
}

/// The counters of the migration that runs, written by its data thread, read by anyone.
public final class TransferStatistics: Sendable {
    private let counters = Mutex(TransferCounters())

    /// All zero.
    public init() {}

    /// A consistent copy.
    public var snapshot: TransferCounters { counters.withLock { $0 } }

    /// Changes the counters in one step.
    ///
    /// Called per batch of pages, not per page.
    public func update(_ body: (inout TransferCounters) -> Void) {
        counters.withLock { body(&$0) }
    }
}
