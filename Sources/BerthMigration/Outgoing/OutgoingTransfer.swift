import BerthMemory
import BerthQAPI
import BerthStream
import BerthTransport
import BerthWire

/// What every way to save a guest needs: the writer, the orders from above, the figures.
///
/// Owned by the data thread.
final class OutgoingTransfer {
    let plan: OutgoingPlan
    let orders: MigrationOrders
    let statistics: TransferStatistics
    let report: @Sendable (OutgoingReport) -> Void
    let channel: Channel
    let writer: any GuestWriter
    /// What the destination says; nil if it isn't asked.
    let returnPath: ReturnPathReader?
    /// The rest of the device state, to be asked for after the guest was stopped.
    private let deviceState: @Sendable () -> DeviceState

    private let start = ContinuousClock.now
    private var window = BandwidthWindow(now: .now)
    private var rateLimit = RateLimit(now: .now)

    init(
        _ plan: OutgoingPlan,
        to channels: OutgoingChannels,
        orders: MigrationOrders,
        statistics: TransferStatistics,
        deviceState: @escaping @Sendable () -> DeviceState,
        report: @escaping @Sendable (OutgoingReport) -> Void
    ) throws(StreamError) {
        self.plan = plan
        channel = channels.main
        self.orders = orders
        self.statistics = statistics
        self.deviceState = deviceState
        self.report = report
        writer = try channels.writer(plan)
        returnPath = plan.stream.opensReturnPath ? ReturnPathReader(channel) : nil
    }

    /// Writes everything up to the first page.
    func begin() throws(StreamError) {
        statistics.update {
            $0.totalByteCount = plan.blocks.reduce(0) { $0 + UInt64($1.byteCount) }
        }
        try writer.begin(
            plan.stream,
            blocks: plan.blocks.map {
                StreamBlock(
                    name: $0.id,
                    byteCount: $0.byteCount,
                    guestAddress: plan.guestAddresses[$0.id]
                )
            },
            earlySections: plan.earlySections
        )
    }

    /// Ends the set-up: status active.
    func becomeActive() throws(StreamError) {
        statistics.update {
            $0.setupTime = UInt64(max(0, start.duration(to: .now) / .milliseconds(1)))
            $0.expectedDowntime = orders.limits.downtime
        }
        report(.setUp)
        // Only now, so that a peer that is gone already fails an active migration, as in QEMU.
        try writer.output.flush()
    }

    /// Waits for the guest to be stopped or held.
    func awaitGuest() throws(StreamError) {
        report(.converged)
        guard orders.waitForFinish() else { throw Self.cancelled }
    }

    /// Writes the device state and the end, and waits for the destination's verdict.
    ///
    /// - Parameter closesMemory: whether the RAM section gets its end, as it does except in a
    ///   background snapshot.
    func finish(closesMemory: Bool = true) throws(StreamError) {
        let devices = deviceState()
        let sections = devices.final.encoded(footers: plan.stream.hasFooters)
        try writer.finish(
            deviceSections: sections,
            description: devices.description ?? [],
            closesMemory: closesMemory
        )
        try (writer as? SealingWriter)?.seal(devices)
        count()
        statistics.update { $0.remainingPageCount = 0 }
        try returnPath?.awaitVerdict()
    }

    /// Ends what works beside this thread; comes last in every case.
    func end() {
        writer.end()
    }

    static let cancelled = StreamError(.aborted, "the migration was cancelled")

    /// Ends the thread's work if the migration was cancelled.
    func checkCancel() throws(StreamError) {
        if orders.isCancelled { throw Self.cancelled }
    }

    // MARK: Figures

    /// Bytes that left so far.
    var transferredByteCount: UInt64 {
        writer.output.transferredByteCount + writer.pageByteCount
    }

    /// Bytes per second to be counted on, or before the first window's end: since the start.
    var bytesPerSecond: Double {
        if let rate = window.steadyBytesPerSecond { return rate }
        let seconds = start.duration(to: .now) / .seconds(1)
        return seconds > 0 ? Double(transferredByteCount) / seconds : 0
    }

    /// Whether a whole window has gone by.
    var hasMeasured: Bool { window.bytesPerSecond != nil }

    /// Accounts for pages that were sent.
    ///
    /// - Parameter isStopped: whether the guest was stopped meanwhile.
    func account(_ sent: SentPages, isStopped: Bool) {
        guard sent.count > 0 else { return }
        let pageSize = UInt64(targetPageByteCount)
        let bytes = UInt64(sent.dataCount) * pageSize + sent.deltaByteCount
        statistics.update { counters in
            counters.zeroPageCount += UInt64(sent.zeroCount)
            counters.dataPageCount += UInt64(sent.dataCount)
            counters.deltaPageCount += UInt64(sent.deltaCount)
            counters.remainingPageCount -= min(UInt64(sent.count), counters.remainingPageCount)
            if isStopped {
                counters.downtimeByteCount += bytes
            } else {
                counters.precopyByteCount += bytes
            }
        }
    }

    /// Brings the figures up to date.
    func count() {
        let bytes = transferredByteCount
        let pageBytes = writer.pageByteCount
        let fallbacks = writer.zeroCopyFallbackCount
        let limits = orders.limits
        statistics.update { counters in
            counters.transferredByteCount = bytes
            counters.channelByteCount = plan.channelCount == nil ? 0 : pageBytes
            counters.zeroCopyFallbackCount = fallbacks
            let pages =
                counters.zeroPageCount + counters.dataPageCount + counters.deltaPageCount
            guard let figures = window.close(now: .now, bytes: bytes, pages: pages) else { return }
            counters.megabitsPerSecond = figures.megabitsPerSecond
            counters.pagesPerSecond = figures.pagesPerSecond
            let switchover = limits.switchoverBytesPerSecond
            let speed = switchover > 0 ? Double(switchover) : window.bytesPerSecond ?? 0
            if counters.dirtyPagesPerSecond > 0, figures.byteCount > 10_000, speed > 0 {
                let pending = Double(counters.dirtyPageCountAtSync) * Double(targetPageByteCount)
                counters.expectedDowntime = UInt64(min(pending / speed * 1000, 1e15))
            }
        }
    }

    // MARK: Speed

    /// Pages to send before the orders are looked at again.
    var batchPageCount: Int {
        RateLimit.batchPageCount(
            limit: orders.limits.bytesPerSecond,
            pageByteCount: targetPageByteCount,
            most: Self.largestBatchPageCount
        )
    }

    /// 4 MiB between looks at orders and clocks: a fraction of a millisecond on this path.
    static let largestBatchPageCount = 1024

    /// Waits as long as `max-bandwidth` asks for.
    func throttle() throws(StreamError) {
        if orders.limits.bytesPerSecond > 0 {
            // What is judged must have left, over whichever channel.
            try writer.settle()
            try writer.output.flush()
        }
        while !orders.isCancelled,
            let delay = rateLimit.delay(
                now: .now,
                bytes: transferredByteCount,
                limit: orders.limits.bytesPerSecond
            )
        {
            orders.wait(timeout: delay)
            count()
        }
    }
}
