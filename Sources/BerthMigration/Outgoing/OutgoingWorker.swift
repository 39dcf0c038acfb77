import BerthStream
import BerthSystem
import BerthTransport

/// The data thread of an outgoing migration: connects, sends, hangs up.
///
/// Overview: `run` is called on a thread of its own, blocks there, and reports through `report`.
/// It never decides: orders come through `MigrationOrders`, and the guest is stopped by the
/// controller while the thread waits. How a guest is sent is in `PrecopyTransfer` and
/// `SnapshotTransfer`.
final class OutgoingWorker {
    private let plan: OutgoingPlan
    private let orders: MigrationOrders
    private let statistics: TransferStatistics
    private let report: @Sendable (OutgoingReport) -> Void
    /// The rest of the device state, asked for after the guest was stopped.
    private let deviceState: @Sendable () -> DeviceState

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
    }

    /// Does the whole work; the last report is `.ended`.
    ///
    /// - Parameter opened: the channels, if there was nothing to wait for (file, fd, exec).
    @available(*, noasync)
    func run(_ transport: OutgoingTransport, _ opened: OutgoingChannels?) {
        statistics.update { $0.threadID = NamedThread.currentID }
        do throws(MigrationError) {
            let channels = if let opened { opened } else { try connect(transport) }
            try send(over: channels)
            do throws(TransportError) {
                try channels.main.close()
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

    private func connect(
        _ transport: OutgoingTransport
    ) throws(MigrationError) -> OutgoingChannels {
        do {
            return try OutgoingChannels(connecting: transport, plan)
        } catch {
            throw MigrationError(error)
        }
    }

    private func send(over channels: OutgoingChannels) throws(MigrationError) {
        let transfer: OutgoingTransfer
        do throws(StreamError) {
            transfer = try OutgoingTransfer(
                plan,
                to: channels,
                orders: orders,
                statistics: statistics,
                deviceState: deviceState,
                report: report
            )
        } catch {
            throw MigrationError(error, during: plan.context)
        }
        defer { transfer.end() }
        do throws(StreamError) {
            try transfer.begin()
            let sharing = try BlockSharing(transfer)
            if plan.takesSnapshot {
                try SnapshotTransfer(transfer).run()
            } else {
                try PrecopyTransfer(transfer, sharing).run()
            }
            if let sharing { report(.saved(sharing.record)) }
        } catch {
            throw explain(error, transfer)
        }
    }

    /// Says whose failure it was: a destination that gave up usually says so before it hangs up.
    private func explain(_ error: StreamError, _ transfer: OutgoingTransfer) -> MigrationError {
        if error.code == .transport, transfer.returnPath?.hasRefusal() == true {
            return MigrationError(
                "\(plan.context): the destination reported that it failed to load the guest",
                hint: "look at the destination's error-desc or standard error"
            )
        }
        return MigrationError(error, during: plan.context)
    }
}
