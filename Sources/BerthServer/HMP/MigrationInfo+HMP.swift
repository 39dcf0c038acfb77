internal import BerthMonitor
internal import BerthQAPI

extension MigrationInfo {
    /// The state of a migration as `info migrate` shows it.
    var hmpText: String {
        (Self.globals + blockedLines + statusLines + (ram?.hmpLines ?? [])
            + (xbzrleCache?.hmpLines ?? []) + throttleLines + destinationLines)
            .map { $0 + "\n" }.joined()
    }

    /// What QEMU lets be changed with `-global` and Berth doesn't.
    private static let globals = [
        "globals:",
        "store-global-state: on",
        "only-migratable: off",
        "send-configuration: on",
        "send-section-footer: on",
        "send-switchover-start: on",
        "clear-bitmap-shift: 18",
    ]

    private var blockedLines: [String] {
        guard let blockedReasons else { return [] }
        return ["Outgoing migration blocked:"] + blockedReasons.map { "  " + $0 }
    }

    private var statusLines: [String] {
        guard let status else { return [] }
        var line = "Migration status: \(status.rawValue)"
        if status == .failed, let errorDesc { line += " (\(errorDesc))" }
        var lines = [line, "total time: \(totalTime ?? 0) ms"]
        if let expectedDowntime { lines.append("expected downtime: \(expectedDowntime) ms") }
        if let downtime { lines.append("downtime: \(downtime) ms") }
        if let setupTime { lines.append("setup: \(setupTime) ms") }
        return lines
    }

    private var throttleLines: [String] {
        var lines: [String] = []
        if let cpuThrottlePercentage {
            lines.append("cpu throttle percentage: \(cpuThrottlePercentage)")
        }
        if let dirtyLimitThrottleTimePerRound {
            lines.append("dirty-limit throttle time: \(dirtyLimitThrottleTimePerRound) us")
        }
        if let dirtyLimitRingFullTime {
            lines.append("dirty-limit ring full time: \(dirtyLimitRingFullTime) us")
        }
        return lines
    }

    private var destinationLines: [String] {
        var lines: [String] = []
        if let postcopyBlocktime { lines.append("postcopy blocktime: \(postcopyBlocktime)") }
        if let postcopyVcpuBlocktime {
            let times = postcopyVcpuBlocktime.map { "\($0)" }.joined(separator: ",")
            lines.append("postcopy vcpu blocktime: \(times)")
        }
        if let socketAddress {
            lines.append("socket address: [")
            lines += socketAddress.map { "\t" + $0.uri }
            lines.append("]")
        }
        return lines
    }
}

extension MigrationRAMStats {
    fileprivate var hmpLines: [String] {
        var lines = [
            "transferred ram: \(transferred >> 10) kbytes",
            "throughput: \(FixedDecimals.text(mbps, 2)) mbps",
            "remaining ram: \(remaining >> 10) kbytes",
            "total ram: \(total >> 10) kbytes",
            "duplicate: \(duplicate) pages",
            "normal: \(normal) pages",
            "normal bytes: \(normalBytes >> 10) kbytes",
            "dirty sync count: \(dirtySyncCount)",
            "page size: \(pageSize >> 10) kbytes",
            "multifd bytes: \(multifdBytes >> 10) kbytes",
            "pages-per-second: \(pagesPerSecond)",
        ]
        if dirtyPagesRate != 0 { lines.append("dirty pages rate: \(dirtyPagesRate) pages") }
        if postcopyRequests != 0 { lines.append("postcopy request count: \(postcopyRequests)") }
        if precopyBytes != 0 { lines.append("precopy ram: \(precopyBytes >> 10) kbytes") }
        if downtimeBytes != 0 { lines.append("downtime ram: \(downtimeBytes >> 10) kbytes") }
        if postcopyBytes != 0 { lines.append("postcopy ram: \(postcopyBytes >> 10) kbytes") }
        if dirtySyncMissedZeroCopy != 0 {
            lines.append("Zero-copy-send fallbacks happened: \(dirtySyncMissedZeroCopy) times")
        }
        return lines
    }
}

extension XBZRLECacheStats {
    fileprivate var hmpLines: [String] {
        [
            "cache size: \(cacheSize) bytes",
            "xbzrle transferred: \(bytes >> 10) kbytes",
            "xbzrle pages: \(pages) pages",
            "xbzrle cache miss: \(cacheMiss) pages",
            "xbzrle cache miss rate: \(FixedDecimals.text(cacheMissRate, 2))",
            "xbzrle encoding rate: \(FixedDecimals.text(encodingRate, 2))",
            "xbzrle overflow: \(overflow)",
        ]
    }
}

extension SocketAddress {
    /// The address as a URI of `migrate`.
    fileprivate var uri: String {
        switch self {
        case .inet(let address):
            let host =
                address.host.utf8.contains(UInt8(ascii: ":"))
                ? "[\(address.host)]" : address.host
            return "tcp:\(host):\(address.port)"
        case .unix(let address): return "unix:\(address.path)"
        case .vsock(let address): return "vsock:\(address.cid):\(address.port)"
        case .fd(let address): return "fd:\(address.str)"
        }
    }
}
