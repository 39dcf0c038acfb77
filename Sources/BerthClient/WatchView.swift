internal import BerthMonitor

/// What `watch` shows, without a terminal.
struct WatchView {
    private var remaining = Sparkline()
    private var progress = MigrationProgress()
    private var workloads: [WorkloadProgress] = []
    private let style: Sparkline.Style

    /// Columns of the longest bar: a longer one shows nothing that the percentage doesn't.
    private static let barLimit = 50

    init(style: Sparkline.Style) {
        self.style = style
    }

    /// Takes the state of now.
    mutating func add(_ progress: MigrationProgress, workloads: [WorkloadProgress]) {
        self.progress = progress
        self.workloads = workloads
        if let left = progress.remaining { remaining.add(max(left, 0)) }
    }

    /// The view for a terminal.
    ///
    /// - Parameter width: no line has more characters.
    func lines(width: Int) -> [String] {
        guard progress.status != "none" else {
            return Self.wrap(["no migration yet, waiting for one"], width) + workloadLines(width)
        }
        var lines = [headline(width)] + Self.wrap(items + endItems, width)
        let label = "left "
        let curve = remaining.text(
            width: width - label.count,
            top: progress.total ?? 0,
            style: style
        )
        if !curve.isEmpty { lines.append(label + curve) }
        return lines + workloadLines(width) + Self.wrap(notes, width)
    }

    /// The same in one line, for logs.
    var plainLine: String {
        guard progress.status != "none" else { return "none" }
        let share = progress.percentage.map { ["\($0)%"] } ?? []
        let parts = [VisibleText.line(progress.status)] + share + items + endItems
        return (parts + workloads.map { $0.text } + notes).joined(separator: "  ")
    }

    private func headline(_ width: Int) -> String {
        let status = VisibleText.line(progress.status)
        guard let percentage = progress.percentage else { return String(status.prefix(width)) }
        let share = "\(percentage)%"
        let room = min(width - status.count - share.count - 4, Self.barLimit)
        guard room >= 5 else { return String("\(status) \(share)".prefix(width)) }
        let filled = percentage * room / 100
        let bar =
            String(repeating: "#", count: filled) + String(repeating: ".", count: room - filled)
        return "\(status) [\(bar)] \(share)"
    }

    private var items: [String] {
        var items: [String] = []
        if let sent = progress.transferred { items.append("\(Self.bytes(sent)) sent") }
        if let rate = progress.rate { items.append("\(Self.bytes(rate))/s") }
        if let left = progress.remaining { items.append("\(Self.bytes(left)) left") }
        if let rate = progress.dirtyRate, !progress.isOver {
            items.append("\(Self.bytes(rate))/s dirtied")
        }
        if let passes = progress.passes { items.append("pass \(passes)") }
        return items
    }

    private var endItems: [String] {
        var items: [String] = []
        if let expected = progress.expectedDowntime, !progress.isOver {
            items.append("downtime ~\(expected) ms")
        }
        if let downtime = progress.downtime { items.append("downtime \(downtime) ms") }
        if let throttle = progress.throttle, throttle > 0 { items.append("throttle \(throttle)%") }
        if progress.isOver, let time = progress.totalTime { items.append("took \(time) ms") }
        if let seconds = progress.secondsLeft {
            items.append(
                "ETA " + (seconds.isFinite ? Self.duration(seconds) : "never at this rate")
            )
        }
        return items
    }

    private var notes: [String] {
        switch progress.status {
        case "pre-switchover": ["waiting for migrate-continue"]
        case "postcopy-paused": ["waiting for migrate-recover"]
        default: progress.failure.map { ["error: " + VisibleText.line($0)] } ?? []
        }
    }

    private func workloadLines(_ width: Int) -> [String] {
        workloads.flatMap { Self.wrap([$0.text], width) }
    }

    /// Puts items side by side, two blanks apart; one that is longer than a line is cut into several.
    static func wrap(_ items: [String], _ width: Int) -> [String] {
        let width = max(width, 1)
        var lines: [String] = []
        for item in items {
            if let last = lines.last, last.count + 2 + item.count <= width {
                lines[lines.count - 1] += "  " + item
                continue
            }
            var rest = item[...]
            repeat {
                lines.append(String(rest.prefix(width)))
                rest = rest.dropFirst(width)
            } while !rest.isEmpty
        }
        return lines
    }

    static func bytes(_ count: Double) -> String {
        FixedDecimals.byteText(Int64(exactly: count.rounded()) ?? (count < 0 ? .min : .max))
    }

    private static func duration(_ seconds: Double) -> String {
        guard let whole = Int64(exactly: seconds.rounded(.up)), whole < 1_000_000 else {
            return "more than 11 days"
        }
        return switch whole {
        case ..<100: "\(whole) s"
        case ..<6000: "\(whole / 60) min \(whole % 60) s"
        default: "\(whole / 3600) h \(whole / 60 % 60) min"
        }
    }
}

extension WorkloadProgress {
    fileprivate var text: String {
        let parts = [id, pattern, WatchView.bytes(throughput) + "/s", verdict]
        return VisibleText.line(parts.filter { !$0.isEmpty }.joined(separator: " "))
    }
}
