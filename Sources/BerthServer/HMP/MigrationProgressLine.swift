internal import BerthMonitor
internal import BerthQAPI

/// The progress of a migration in a line.
enum MigrationProgressLine {
    /// The line: status, share of memory that is there, bytes sent, speed, what is left, passes and
    /// how long the guest would have to be stopped.
    static func text(_ info: MigrationInfo) -> String {
        let status = info.status ?? .none
        guard let ram = info.ram else { return status.rawValue }
        var parts = [
            status.rawValue,
            "\(percentage(ram))%",
            "\(FixedDecimals.byteText(ram.transferred)) sent",
            "\(FixedDecimals.text(ram.mbps, 1)) Mbit/s",
        ]
        if status == .completed {
            parts.append("\(info.totalTime ?? 0) ms")
            parts.append("downtime \(info.downtime ?? 0) ms")
        } else {
            parts.append("\(FixedDecimals.byteText(ram.remaining)) left")
            parts.append("pass \(ram.dirtySyncCount)")
            if let expected = info.expectedDowntime { parts.append("downtime ~\(expected) ms") }
            if let throttle = info.cpuThrottlePercentage { parts.append("throttle \(throttle)%") }
        }
        return parts.joined(separator: "  ")
    }

    /// The share of memory that needs not be sent (again), in per cent; 100 only if all is there.
    private static func percentage(_ ram: MigrationRAMStats) -> Int {
        guard ram.total > 0 else { return 0 }
        let done = Double(ram.total - min(max(ram.remaining, 0), ram.total))
        return Int(done / Double(ram.total) * 100)
    }
}
