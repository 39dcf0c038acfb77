import BerthMemory
import BerthStream
import BerthSystem
import BerthTransport
import BerthWire

/// The data thread of an outgoing migration: opens the stream, iterates, completes.
///
/// Overview: `run` is called on a thread of its own, blocks there, and reports through `report`.
/// It never decides: orders come through `MigrationOrders`, and the guest is stopped by the
/// controller while the thread waits.
///
/// Function: the precopy loop of QEMU. Each round sends the dirty pages; when what is dirty fits
/// into the allowed downtime, the controller stops the guest and the rest follows.
final class OutgoingWorker {
    private let plan: OutgoingPlan
    private let orders: MigrationOrders
    private let statistics: TransferStatistics
    private let report: @Sendable (OutgoingReport) -> Void
    /// The rest of the device state, asked for after the guest was stopped.
    private let deviceState: @Sendable () -> DeviceState

    private var dirty: [PageBitmap]
    private var window = BandwidthWindow(now: .now)
    private var rateLimit = RateLimit(now: .now)
    private var lastRateSync = ContinuousClock.now
    private var pagesSinceRateSync: UInt64 = 0

    /// 4 MiB between looks at orders and clocks: a fraction of a millisecond on this path.
    private static let batchPageCount = 1024

    init(
        _ plan: OutgoingPlan,
        orders: MigrationOrders,
        statistics: TransferStatistics,
        deviceState: @escaping @Sendable () -> DeviceState,
        report: @escaping @Sendable (OutgoingReport) -> Void
    ) {
        self.plan = plan
        self.orders = orders
        self.statistics = statistics
        self.deviceState = deviceState
        self.report = report
        dirty = plan.blocks.map { PageBitmap(pageCount: $0.pageCount, repeating: true) }
    }

    /// Does the whole work; the last report is `.ended`.
    ///
    /// - Parameter opened: the channel, if there was nothing to wait for (file, fd, exec).
    @available(*, noasync)
    func run(_ transport: OutgoingTransport, _ opened: Channel?) {
        statistics.update { $0.threadID = NamedThread.currentID }
        do throws(MigrationError) {
            let channel = if let opened { opened } else { try connect(transport) }
            do throws(StreamError) {
                try transfer(channel)
            } catch {
                throw explain(error, channel)
            }
            do throws(TransportError) {
                try channel.close()
            } catch {
                throw MigrationError(
                    "\(plan.context): \(error.description)",
                    hint: error.hint
                )
            }
            report(.ended(nil))
        } catch {
            report(.ended(error))
        }
    }

    private func connect(_ transport: OutgoingTransport) throws(MigrationError) -> Channel {
        do {
            return try transport.connect()
        } catch {
            throw MigrationError(error)
        }
    }

    private func transfer(_ channel: Channel) throws(StreamError) {
        let output = StreamOutput(channel, position: channel.position ?? 0)
        let writer: any GuestWriter =
            plan.isMapped ? MappedWriter(output) : SequentialWriter(output)
        let start = ContinuousClock.now
        window = BandwidthWindow(now: start)
        rateLimit = RateLimit(now: start)
        statistics.update {
            $0.totalByteCount = plan.blocks.reduce(0) { $0 + UInt64($1.byteCount) }
        }
        try writer.begin(
            plan.stream,
            blocks: plan.blocks.map { StreamBlock(name: $0.id, byteCount: $0.byteCount) },
            earlySections: plan.earlySections
        )
        synchronizeDirtyPages()
        statistics.update {
            $0.setupTime = milliseconds(start.duration(to: .now))
            $0.expectedDowntime = orders.limits.downtime
        }
        report(.setUp)
        // Only now, so that a peer that is gone already fails an active migration, as in QEMU.
        try output.flush()
        try iterate(writer)
        report(.converged)
        guard orders.waitForFinish() else {
            throw StreamError(.aborted, "the migration was cancelled")
        }
        try complete(writer, channel)
    }

    /// Sends rounds of dirty pages until the rest fits into the downtime.
    private func iterate(_ writer: any GuestWriter) throws(StreamError) {
        while true {
            try writer.beginIteration()
            try sendDirtyPages(writer, isLast: false)
            try writer.endIteration()
            count(writer)
            // Before the first window has ended nothing is known about the speed: whatever was
            // written meanwhile is found by the last sync, with the guest stopped.
            guard let threshold else { return }
            let pending = synchronizeDirtyPages()
            if pending == 0 || pending * UInt64(targetPageByteCount) < threshold {
                return
            }
        }
    }

    /// Bytes that can be sent within the downtime limit at the present speed.
    ///
    /// Nil while that isn't known. A limit of 0 is one: then nothing may be left.
    private var threshold: UInt64? {
        let limits = orders.limits
        if limits.switchover > 0 {
            let (bytes, overflow) = (limits.switchover / 1000)
                .multipliedReportingOverflow(by: limits.downtime)
            return overflow ? .max : bytes
        }
        guard let rate = window.bytesPerSecond else { return limits.downtime == 0 ? 0 : nil }
        return UInt64(min(rate / 1000 * Double(limits.downtime), 1e18))
    }

    /// One pass over all blocks.
    private func sendDirtyPages(_ writer: any GuestWriter, isLast: Bool) throws(StreamError) {
        let scanner = GuestScanner(detectsZeroPages: plan.detectsZeroPages)
        for (index, block) in plan.blocks.enumerated() {
            var page = 0
            while page < block.pageCount {
                if orders.isCancelled {
                    throw StreamError(.aborted, "the migration was cancelled")
                }
                let outcome = try scanner.send(
                    block,
                    index: index,
                    dirty: &dirty[index],
                    from: &page,
                    limit: isLast
                        ? Self.batchPageCount
                        : RateLimit.batchPageCount(
                            limit: orders.limits.bytesPerSecond,
                            pageByteCount: targetPageByteCount,
                            most: Self.batchPageCount
                        ),
                    to: writer
                )
                account(outcome, isLast: isLast)
                count(writer)
                if !isLast {
                    try throttle(writer)
                }
            }
        }
    }

    private func account(_ outcome: GuestScanner.Outcome, isLast: Bool) {
        let sent = UInt64(outcome.zeroPageCount + outcome.dataPageCount)
        guard sent > 0 else { return }
        let bytes = UInt64(outcome.dataPageCount * targetPageByteCount)
        statistics.update { counters in
            counters.zeroPageCount += UInt64(outcome.zeroPageCount)
            counters.dataPageCount += UInt64(outcome.dataPageCount)
            counters.remainingPageCount -= min(sent, counters.remainingPageCount)
            if isLast {
                counters.downtimeByteCount += bytes
            } else {
                counters.precopyByteCount += bytes
            }
        }
    }

    /// Waits as long as `max-bandwidth` asks for.
    private func throttle(_ writer: any GuestWriter) throws(StreamError) {
        if orders.limits.bytesPerSecond > 0 {
            // What is judged must have left.
            try writer.output.flush()
        }
        while !orders.isCancelled,
            let delay = rateLimit.delay(
                now: .now,
                bytes: transferred(writer),
                limit: orders.limits.bytesPerSecond
            )
        {
            orders.wait(timeout: delay)
            count(writer)
        }
    }

    private func complete(_ writer: any GuestWriter, _ channel: Channel) throws(StreamError) {
        synchronizeDirtyPages()
        try writer.beginCompletion(announced: plan.sendsSwitchoverStart)
        try sendDirtyPages(writer, isLast: true)
        let devices = deviceState()
        try writer.finish(
            deviceSections: devices.final.encoded(footers: plan.stream.hasFooters),
            description: devices.description ?? []
        )
        count(writer)
        statistics.update { $0.remainingPageCount = 0 }
        if plan.stream.opensReturnPath {
            try ReturnPath.awaitVerdict(on: channel)
        }
    }

    /// Collects what was written since the last sync, and tells about it.
    ///
    /// - Returns: the number of dirty pages now.
    @discardableResult
    private func synchronizeDirtyPages() -> UInt64 {
        var found: UInt64 = 0
        var pending: UInt64 = 0
        for (index, block) in plan.blocks.enumerated() {
            found += UInt64(block.dirtyLog.collect(into: &dirty[index]))
            pending += UInt64(dirty[index].count)
        }
        pagesSinceRateSync += found
        let now = ContinuousClock.now
        let elapsed = lastRateSync.duration(to: now)
        let rate: UInt64? =
            elapsed > .seconds(1)
            ? UInt64(Double(pagesSinceRateSync) / (elapsed / .seconds(1))) : nil
        if rate != nil {
            lastRateSync = now
            pagesSinceRateSync = 0
        }
        var pass: UInt64 = 0
        statistics.update { counters in
            counters.syncCount += 1
            counters.remainingPageCount = pending
            counters.dirtyPagesPerSecond = rate ?? counters.dirtyPagesPerSecond
            pass = counters.syncCount
        }
        report(.pass(pass))
        return pending
    }

    private func transferred(_ writer: any GuestWriter) -> UInt64 {
        writer.output.transferredByteCount + ((writer as? MappedWriter)?.pageByteCount ?? 0)
    }

    private func count(_ writer: any GuestWriter) {
        let bytes = transferred(writer)
        let pages = statistics.snapshot.zeroPageCount + statistics.snapshot.dataPageCount
        let figures = window.close(now: .now, bytes: bytes, pages: pages)
        let rate = window.bytesPerSecond
        let switchover = orders.limits.switchover
        statistics.update { counters in
            counters.transferredByteCount = bytes
            guard let figures else { return }
            counters.megabitsPerSecond = figures.megabitsPerSecond
            counters.pagesPerSecond = figures.pagesPerSecond
            let speed = switchover > 0 ? Double(switchover) : rate ?? 0
            if counters.dirtyPagesPerSecond > 0, figures.byteCount > 10_000, speed > 0 {
                let pending = Double(counters.remainingPageCount) * Double(targetPageByteCount)
                counters.expectedDowntime = UInt64(min(pending / speed * 1000, 1e15))
            }
        }
    }

    /// Says whose failure it was: a destination that gave up usually says so before it hangs up.
    private func explain(_ error: StreamError, _ channel: Channel) -> MigrationError {
        if error.code == .transport, plan.stream.opensReturnPath,
            ReturnPath.hasRefusal(on: channel)
        {
            return MigrationError(
                "\(plan.context): the destination reported that it failed to load the guest",
                hint: "look at the destination's error-desc or standard error"
            )
        }
        return MigrationError(error, during: plan.context)
    }

    private func milliseconds(_ duration: Duration) -> UInt64 {
        UInt64(max(0, duration / .milliseconds(1)))
    }
}
