import BerthMemory
import BerthStream

/// Sends a guest that runs: round after round what it has changed meanwhile, until what is left can
/// be sent within the allowed downtime; then, with the guest stopped, the rest.
///
/// Function: QEMU's precopy loop and its formulas; docs/live.md tells them to users. Only the speed
/// that decides about the end is a more careful one. The guest is stopped by the controller while
/// this waits.
///
/// Odd cases: before the first window of 100 ms has ended nothing is known about the speed for
/// certain. QEMU then stops the guest as soon as everything was sent once. So does this, if what
/// was written meanwhile fits into the downtime at the speed seen so far.
final class PrecopyTransfer {
    private let transfer: OutgoingTransfer
    private let sender: any PageSender
    private let deltas: DeltaSender?
    /// Blocks that get into an image without being written.
    private let sharing: BlockSharing?
    private var pages: DirtyPages
    private var judge: ConvergenceJudge
    private var isPartOpen = false

    private var lastLook = ContinuousClock.now
    private var lastSync = ContinuousClock.now
    private var lastRateSync = ContinuousClock.now
    private var pagesSinceRateSync: UInt64 = 0
    private var bytesAtRateSync: UInt64 = 0

    /// While a guest is to be slowed down it is looked at this often at least, as in QEMU.
    private static let forcedSyncInterval = Duration.seconds(5)
    /// Time between looks at a guest that may not be stopped yet.
    private static let idleInterval = Duration.milliseconds(10)

    init(_ transfer: OutgoingTransfer, _ sharing: BlockSharing?) throws(StreamError) {
        let plan = transfer.plan
        self.transfer = transfer
        self.sharing = sharing
        let scanner = GuestScanner(detectsZeroPages: plan.detectsZeroPages)
        deltas =
            plan.sendsDeltas
            ? try DeltaSender(scanner, cacheByteCount: transfer.orders.limits.deltaCacheByteCount)
            : nil
        sender = deltas ?? scanner
        judge = ConvergenceJudge(plan.restraint)
        pages = try DirtyPages(plan.blocks) {
            plan.leavesOut($0) || sharing?.includes($0) == true
        }
    }

    /// Does all of it, from the first bitmap sync to the destination's verdict.
    func run() throws(StreamError) {
        defer { pages.end() }
        // A writer that came before tracking began may be one that can't be tracked.
        if let obstacle = transfer.plan.obstacle() {
            throw StreamError(.transport, obstacle.message, hint: obstacle.hint)
        }
        try synchronize()
        try transfer.becomeActive()
        try sharing?.prepare()
        try iterate()
        // What was written during the rounds.
        try sharing?.prepare()
        try transfer.awaitGuest()
        try complete()
    }

    // MARK: Rounds

    private func iterate() throws(StreamError) {
        while true {
            if try hasConverged() { return }
            try transfer.checkCancel()
            if pages.pendingCount == 0 {
                // The destination isn't ready, or the guest may not be stopped at all.
                transfer.orders.wait(timeout: Self.idleInterval)
            } else {
                try sendBatch()
            }
            transfer.count()
            try transfer.throttle()
            if lastLook.duration(to: .now) >= BandwidthWindow.length {
                lastLook = .now
                try lookAround()
            }
        }
    }

    private func sendBatch() throws(StreamError) {
        if !isPartOpen {
            try transfer.writer.beginIteration()
            isPartOpen = true
        }
        if let deltas {
            deltas.isEncoding = pages.hasWrapped
            try deltas.resize(toByteCount: transfer.orders.limits.deltaCacheByteCount)
        }
        let sent = try pages.send(
            limit: transfer.batchPageCount,
            by: sender,
            to: transfer.writer
        )
        transfer.account(sent, isStopped: false)
        noteDeltas()
    }

    private func closePart() throws(StreamError) {
        guard isPartOpen else { return }
        isPartOpen = false
        try transfer.writer.endIteration()
        transfer.count()
    }

    /// What is done about ten times a second beside sending.
    private func lookAround() throws(StreamError) {
        try transfer.returnPath?.poll()
        // A guest that is to be slowed down must be judged, however long its rounds take.
        if judge.means == .throttle, pages.hasWrapped,
            lastSync.duration(to: .now) >= Self.forcedSyncInterval
        {
            try closePart()
            try synchronize()
        }
    }

    // MARK: The decision

    /// Whether the guest is to be stopped now.
    private func hasConverged() throws(StreamError) -> Bool {
        let isMeasured = transfer.hasMeasured
        guard pages.pendingCount == 0 || (isMeasured && fits(pages.pendingCount)) else {
            return false
        }
        try closePart()
        // What other threads still have to send would be sent while the guest is stopped.
        try transfer.writer.settle()
        guard isMeasured || limits.downtime == 0 else {
            // Not a pass of its own if it leads to the end: then QEMU doesn't look either.
            let found = try pages.collect()
            if mayStop, fits(pages.pendingCount) { return true }
            notePass(found: found)
            return false
        }
        try synchronize()
        return mayStop && (pages.pendingCount == 0 || fits(pages.pendingCount))
    }

    private var limits: MigrationLimits { transfer.orders.limits }

    /// Whether the destination lets the guest be stopped.
    private var mayStop: Bool {
        guard transfer.plan.awaitsSwitchoverAck, transfer.orders.isGuestLive else { return true }
        return transfer.returnPath?.hasSwitchoverAck ?? true
    }

    /// Whether so many pages can be sent within the downtime limit at the present speed.
    ///
    /// A limit of 0 is one: then nothing may be left.
    private func fits(_ pageCount: UInt64) -> Bool {
        let speed =
            limits.switchoverBytesPerSecond > 0
            ? Double(limits.switchoverBytesPerSecond) : transfer.bytesPerSecond
        let allowed = speed / 1000 * Double(limits.downtime)
        return Double(pageCount) * Double(targetPageByteCount) < allowed
    }

    // MARK: Syncs

    /// Collects what was written since the last sync: a new pass.
    private func synchronize() throws(StreamError) {
        notePass(found: try pages.collect())
    }

    private func notePass(found: UInt64) {
        let now = ContinuousClock.now
        lastSync = now
        pagesSinceRateSync += found
        let elapsed = lastRateSync.duration(to: now)
        var rate: UInt64?
        if elapsed > .seconds(1) {
            rate = UInt64(Double(pagesSinceRateSync) / (elapsed / .seconds(1)))
            restrainGuest()
            deltas?.closePeriod()
            lastRateSync = now
            pagesSinceRateSync = 0
            bytesAtRateSync = transfer.transferredByteCount
        }
        var pass: UInt64 = 0
        transfer.statistics.update { counters in
            counters.syncCount += 1
            counters.remainingPageCount = pages.pendingCount
            counters.dirtyPageCountAtSync = pages.pendingCount
            counters.dirtyPagesPerSecond = rate ?? counters.dirtyPagesPerSecond
            pass = counters.syncCount
        }
        transfer.report(.pass(pass))
    }

    private func restrainGuest() {
        let restraint = judge.judge(
            dirtyByteCount: pagesSinceRateSync * UInt64(targetPageByteCount),
            transferredByteCount: transfer.transferredByteCount - bytesAtRateSync,
            limits
        )
        if let restraint {
            transfer.report(.restrain(restraint))
        }
    }

    private func noteDeltas() {
        guard let counters = deltas?.counters else { return }
        transfer.statistics.update { $0.deltas = counters }
    }

    // MARK: The end

    /// Sends what is left of a guest that is stopped.
    private func complete() throws(StreamError) {
        try synchronize()
        try transfer.writer.beginCompletion(announced: transfer.plan.sendsSwitchoverStart)
        while pages.pendingCount > 0 {
            try transfer.checkCancel()
            let sent = try pages.send(
                limit: OutgoingTransfer.largestBatchPageCount,
                by: sender,
                to: transfer.writer
            )
            transfer.account(sent, isStopped: true)
            transfer.count()
        }
        noteDeltas()
        try sharing?.complete()
        try transfer.finish()
    }
}
