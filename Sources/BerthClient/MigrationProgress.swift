internal import BerthJSON

/// How far a migration is, as any version of QEMU or Berth tells it.
///
/// What isn't told is nil: a destination knows only the status, for instance.
struct MigrationProgress: Equatable, Sendable {
    /// The state, by QAPI's name; `none` before the first migration.
    var status = "none"
    /// The guest's memory, bytes.
    var total: Double?
    /// Bytes sent so far.
    var transferred: Double?
    /// Bytes that are still to be sent.
    var remaining: Double?
    /// Bytes a second that were sent of late.
    var rate: Double?
    /// Bytes a second that the guest changes.
    var dirtyRate: Double?
    /// Rounds over the guest's memory.
    var passes: Int64?
    /// Milliseconds that the guest would have to stop now.
    var expectedDowntime: Int64?
    /// Milliseconds that it was stopped.
    var downtime: Int64?
    /// Milliseconds from the start, or from start to end.
    var totalTime: Int64?
    /// Per cent of their time that the guest's CPUs lose.
    var throttle: Int64?
    /// Why it failed.
    var failure: String?

    /// Whether nothing more will come of it.
    var isOver: Bool { ["completed", "failed", "cancelled"].contains(status) }

    /// The share of memory that needs not be sent (again), in per cent; 100 only if all is there.
    var percentage: Int? {
        guard let total, let remaining, total > 0 else { return nil }
        return Int(((total - min(max(remaining, 0), total)) / total * 100).rounded(.down))
    }

    /// Seconds until all is sent; nil where that isn't known, infinite where memory changes faster
    /// than it is sent.
    var secondsLeft: Double? {
        guard !isOver, let remaining, let rate, rate > 0 else { return nil }
        let gain = rate - (dirtyRate ?? 0)
        return gain > 0 ? remaining / gain : .infinity
    }
}

extension MigrationProgress {
    /// Bytes a second of a million bits a second.
    private static let bytesPerMegabit = 125_000.0
    /// The size of a page where it isn't told: that of x86.
    private static let usualPageByteCount = 4096.0

    /// Reads the answer to `query-migrate`.
    init(_ answer: JSONValue) {
        let ram = answer["ram"]
        let page = ram?["page-size"]?.doubleValue ?? Self.usualPageByteCount
        status = answer["status"]?.stringValue ?? "none"
        total = ram?["total"]?.doubleValue
        transferred = ram?["transferred"]?.doubleValue
        remaining = ram?["remaining"]?.doubleValue
        rate = ram?["mbps"]?.doubleValue.map { $0 * Self.bytesPerMegabit }
        dirtyRate = ram?["dirty-pages-rate"]?.doubleValue.map { $0 * page }
        passes = ram?["dirty-sync-count"]?.int64Value
        expectedDowntime = answer["expected-downtime"]?.int64Value
        downtime = answer["downtime"]?.int64Value
        totalTime = answer["total-time"]?.int64Value
        throttle = answer["cpu-throttle-percentage"]?.int64Value
        failure = answer["error-desc"]?.stringValue
    }

    /// Reads the answer to `info migrate`.
    init(information text: String) {
        var values: [Substring: Substring] = [:]
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            values[line[..<colon].drop { $0 == " " || $0 == "\t" }] = value
        }
        func number(_ key: Substring, _ unit: Double = 1) -> Double? {
            values[key]?.split(separator: " ").first.flatMap { Double($0) }.map { $0 * unit }
        }
        func integer(_ key: Substring) -> Int64? { number(key).flatMap { Int64(exactly: $0) } }
        let page = number("page size", 1024) ?? Self.usualPageByteCount
        if let line = values["Migration status"] {
            // A failure follows its status in brackets.
            status = String(line.prefix { $0 != " " })
            if let open = line.firstIndex(of: "("), line.last == ")" {
                failure = String(line[line.index(after: open)...].dropLast())
            }
        }
        total = number("total ram", 1024)
        transferred = number("transferred ram", 1024)
        remaining = number("remaining ram", 1024)
        rate = number("throughput", Self.bytesPerMegabit)
        dirtyRate = number("dirty pages rate", page)
        passes = integer("dirty sync count")
        expectedDowntime = integer("expected downtime")
        downtime = integer("downtime")
        totalTime = integer("total time")
        throttle = integer("cpu throttle percentage")
    }
}

/// What a workload does to the guest's memory (`x-query-workload`, of Berth only).
struct WorkloadProgress: Equatable, Sendable {
    var id: String
    var pattern: String
    /// Bytes a second.
    var throughput: Double
    /// What its pages prove.
    var verdict: String

    /// Reads one element of the answer.
    init?(_ answer: JSONValue) {
        guard let id = answer["id"]?.stringValue else { return nil }
        self.id = id
        pattern = answer["pattern"]?.stringValue ?? ""
        throughput = answer["throughput"]?.doubleValue ?? 0
        verdict = answer["verdict"]?.stringValue ?? ""
    }
}
