import Glibc

/// A workload of Berth, as a command line describes it.
public struct PeerWorkload: Sendable, CustomStringConvertible {
    /// Which pages it writes, and what.
    public enum Pattern: String, Sendable, CaseIterable {
        case increment
        case sequential
        case random
        case zipf

        /// Whether pages are written one after the other, so that each stale one shows.
        public var isInOrder: Bool { self == .increment || self == .sequential }
    }

    /// Which pages, and what.
    public var pattern: Pattern
    /// Bytes of the memory before its range.
    public var start = 0
    /// Bytes in its range.
    public var byteCount: Int
    /// Bytes in a second; 0 for no limit.
    public var bytesPerSecond: Int
    /// Its threads.
    public var threadCount: Int

    /// A workload of this description.
    public init(
        _ pattern: Pattern,
        byteCount: Int,
        bytesPerSecond: Int = 0,
        threadCount: Int = 1
    ) {
        self.pattern = pattern
        self.byteCount = byteCount
        self.bytesPerSecond = bytesPerSecond
        self.threadCount = threadCount
    }

    /// The words of a command line that make it.
    ///
    /// - Parameter backend: id of the memory that it writes.
    public func options(memory backend: String) -> [String] {
        [
            "-object",
            "guest-workload,id=writer,memdev=\(backend),start=\(start),size=\(byteCount),"
                + "pattern=\(pattern.rawValue),rate=\(bytesPerSecond),threads=\(threadCount)",
        ]
    }

    /// A short name for a test's output.
    public var description: String {
        "\(pattern.rawValue), \(bytesPerSecond >> 20) MiB/s"
    }
}

/// What Berth says of a workload.
public struct PeerWorkloadState: Sendable {
    /// Pages written since the memory was zero.
    public let writes: Int64
    /// Its verdict: `unchecked`, `clean` or `corrupt`.
    public let verdict: String
    /// How much of their time its threads lose.
    public let throttle: Int64
    /// The whole answer, for messages.
    public let answer: PeersJSON
}

extension PeersMachine {
    /// Asks Berth for its only workload.
    public func workload() throws -> PeerWorkloadState {
        let answer = try monitor.execute("x-query-workload")
        guard let info = answer[0], let writes = info["writes"]?.integer,
            let verdict = info["verdict"]?.string, let throttle = info["throttle"]?.integer
        else { throw PeerFailure("\(program) has no workload: \(answer)") }
        return PeerWorkloadState(
            writes: writes,
            verdict: verdict,
            throttle: throttle,
            answer: info
        )
    }

    /// Waits until the workload has written more than so many pages.
    public func waitForWrites(beyond count: Int64) throws {
        try wait("the workload to write more than \(count) pages") {
            try workload().writes > count
        }
    }

    /// Asks again and again until something is so.
    public func wait(_ what: String, until isSo: () throws -> Bool) throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while try !isSo() {
            guard ContinuousClock.now < deadline else {
                throw PeerFailure("\(program) was waited for in vain: \(what)")
            }
            usleep(2000)
        }
    }

    /// The digest of the only block of RAM, by `x-query-ram-digest`.
    public func digest() throws -> String {
        let answer = try monitor.execute("x-query-ram-digest")
        guard let digest = answer[0]?["digest"]?.string, answer[1] == nil else {
            throw PeerFailure("\(program) gave no single digest: \(answer)")
        }
        return digest
    }

    /// Has the guest's memory written to a file, as the guest's processor would see it.
    public func dumpMemory(of guest: PeerGuest, to path: String) throws {
        try monitor.execute(
            "pmemsave",
            [
                "val": 0, "size": .integer(Int64(guest.memoryByteCount)),
                "filename": .string(path),
            ]
        )
    }

    /// Takes events up to the end of a migration, or an earlier one, and tells them in few words:
    /// statuses of MIGRATION, passes, and the names of others.
    public func history(to last: String? = nil) throws -> [String] {
        var history: [String] = []
        while true {
            let event = try monitor.nextEvent()
            let name = event["event"]?.string ?? ""
            let word =
                switch name {
                case "MIGRATION": event["data"]?["status"]?.string ?? ""
                case "MIGRATION_PASS": "pass \(event["data"]?["pass"]?.integer ?? 0)"
                default: name
                }
            history.append(word)
            if word == last || ["completed", "failed", "cancelled"].contains(word) {
                return history
            }
        }
    }
}
