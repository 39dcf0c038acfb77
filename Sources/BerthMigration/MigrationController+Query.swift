import BerthMemory
public import BerthQAPI
import BerthStream
import BerthTransport

extension MigrationController {
    /// QMP `query-migrate`: the source's side if this endpoint ever was one, else what comes in.
    ///
    /// Which members appear in which state is QEMU's rule; see docs/monitor.
    public var info: MigrationInfo {
        outgoing.status == .none ? incomingInfo : outgoingInfo
    }

    /// QMP `query-migrationthreads`; the name is QEMU's.
    public var threads: [MigrationThreadInfo] {
        guard outgoingWork != nil else { return [] }
        let id = statistics.snapshot.threadID
        return [MigrationThreadInfo(name: "mig/src/main", threadID: Int64(id))]
    }

    private var outgoingInfo: MigrationInfo {
        var info = MigrationInfo(status: outgoing.status, errorDesc: outgoingError)
        let counters = statistics.snapshot
        switch outgoing.status {
        case .active, .preSwitchover, .device, .cancelling:
            info.expectedDowntime = Int64(clamping: counters.expectedDowntime)
        case .completed:
            info.downtime = outgoingTimes.downtime.map { Int64(clamping: $0) }
        default:
            return info
        }
        info.totalTime = outgoingTimes.total.map { Int64(clamping: $0) }
        info.setupTime = Int64(clamping: counters.setupTime)
        info.ram = ram(counters)
        info.xbzrleCache = capabilities[.xbzrle] ? deltaStatistics(counters) : nil
        if case .throttle(let percentage) = restraint {
            info.cpuThrottlePercentage = Int64(percentage)
        }
        return info
    }

    private var incomingInfo: MigrationInfo {
        guard incoming.status != .none else { return MigrationInfo() }
        return MigrationInfo(
            status: incoming.status,
            errorDesc: incomingError,
            socketAddress: incomingAddresses.isEmpty ? nil : incomingAddresses.compactMap(\.qapi)
        )
    }

    private func ram(_ counters: TransferCounters) -> MigrationRAMStats {
        let pageSize = UInt64(targetPageByteCount)
        let isDone = outgoing.status == .completed
        return MigrationRAMStats(
            transferred: Int64(clamping: counters.transferredByteCount),
            remaining: Int64(clamping: counters.remainingPageCount * pageSize),
            total: Int64(clamping: counters.totalByteCount),
            duplicate: Int64(clamping: counters.zeroPageCount),
            normal: Int64(clamping: counters.dataPageCount),
            normalBytes: Int64(clamping: counters.dataPageCount * pageSize),
            dirtyPagesRate: isDone ? 0 : Int64(clamping: counters.dirtyPagesPerSecond),
            mbps: isDone ? averageMegabits(counters) : counters.megabitsPerSecond,
            dirtySyncCount: Int64(clamping: counters.syncCount),
            postcopyRequests: 0,
            pageSize: Int64(targetPageByteCount),
            multifdBytes: counters.channelByteCount,
            pagesPerSecond: counters.pagesPerSecond,
            precopyBytes: counters.precopyByteCount,
            downtimeBytes: counters.downtimeByteCount,
            postcopyBytes: 0,
            dirtySyncMissedZeroCopy: counters.zeroCopyFallbackCount
        )
    }

    private func deltaStatistics(_ counters: TransferCounters) -> XBZRLECacheStats {
        let deltas = counters.deltas ?? DeltaCounters()
        return XBZRLECacheStats(
            cacheSize: parameters.xbzrleCacheSize,
            bytes: Int64(clamping: deltas.byteCount),
            pages: Int64(clamping: deltas.pageCount),
            cacheMiss: Int64(clamping: deltas.missCount),
            cacheMissRate: deltas.missRate,
            encodingRate: deltas.encodingRate,
            overflow: Int64(clamping: deltas.overflowCount)
        )
    }

    /// Throughput over the whole transfer, set-up excluded, as QEMU computes it at the end.
    private func averageMegabits(_ counters: TransferCounters) -> Double {
        guard let total = outgoingTimes.total, total > counters.setupTime else { return 0 }
        return Double(counters.transferredByteCount) * 8 / Double(total - counters.setupTime) / 1000
    }
}

extension BerthTransport.MigrationAddress {
    /// The address as `query-migrate` shows it; nil for what isn't a socket.
    fileprivate var qapi: SocketAddress? {
        switch self {
        case .tcp(let inet):
            .inet(
                InetSocketAddress(
                    host: inet.host,
                    port: inet.port,
                    ipv4: inet.ipv4,
                    ipv6: inet.ipv6
                )
            )
        case .unix(let unix):
            .unix(UnixSocketAddress(path: unix.path))
        case .vsock(let cid, let port):
            .vsock(VsockSocketAddress(cid: cid, port: port))
        case .file, .fd, .exec, .rdma:
            nil
        }
    }
}
