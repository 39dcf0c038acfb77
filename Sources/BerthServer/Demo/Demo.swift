import BerthJSON
import BerthMemory
import BerthMigration
public import BerthQAPI
import BerthSystem
import Glibc

/// `berth demo`: the main job, shown end to end in a few seconds.
public struct Demo: Sendable {
    private static let guestByteCount = 128 << 20
    /// Three quarters of the memory: the rest stays zero, and out of the images.
    private static let writtenByteCount = guestByteCount / 4 * 3
    /// What the guest writes.
    private static let writtenBytesPerSecond: UInt64 = 160 << 20
    /// What a save may write: slow enough that the guest writes a good deal meanwhile.
    private static let bytesPerSecond: Int64 = 192 << 20
    /// After so many passes the operator allows a longer downtime.
    private static let patience: Int64 = 6

    private let folder: String

    /// Makes a temporary folder for the two images.
    /// - Throws: `QMPError` if there is none to be had.
    public init() throws(QMPError) {
        let base = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/berth-demo-XXXXXX".utf8CString)
        let made = unsafe template.withUnsafeMutableBufferPointer { buffer -> Bool in
            guard let start = buffer.baseAddress else { return false }
            return unsafe mkdtemp(start) != nil
        }
        guard made else {
            throw QMPError(
                "cannot make a folder in '\(base)'",
                hint: "set TMPDIR to a folder with 1 GiB of free space"
            )
        }
        folder = unsafe template.withUnsafeBufferPointer {
            unsafe $0.baseAddress.map { unsafe String(cString: $0) } ?? base
        }
    }

    /// Shows everything, and cleans up.
    /// - Throws: `QMPError` at the first thing that went wrong.
    public func run() async throws(QMPError) {
        defer { removeImages() }
        let source = DemoSession("source", try Self.makeEndpoint(isIncoming: false))

        print(
            "A guest of 128 MiB writes to its memory without end. It is saved twice while it runs.\n"
        )
        await source.endpoint.controller.startUp()
        try await source.send("query-status")
        try await Self.waitUntilBusy(source)

        print("\n1. As QEMU saves by default: pages one after the other, changed ones again.")
        let sequential = try await save(source, to: "sequential.img")

        print("\n2. As mapped-ram: every page has its place in the file.")
        try await source.send("cont")
        try await source.send("migrate-set-capabilities", Self.mappedRAM)
        let mapped = try await save(source, to: "mapped.img")
        let saved = try await look(at: source)

        print("\n3. The second image is restored in another endpoint.")
        let target = DemoSession("target", try Self.makeEndpoint(isIncoming: true))
        try await target.send("migrate-set-capabilities", Self.mappedRAM)
        try await target.send("migrate-incoming", ["uri": .string("file:\(folder)/mapped.img")])
        _ = try await target.waitForMigration()
        try await target.send("query-status")
        let restored = try await look(at: target)

        print("\n4. There the guest goes on where it was, and each of its pages is checked again.")
        try await target.send("cont")
        try? await Task.sleep(for: .milliseconds(300))
        try await target.send("stop")
        let later = try await look(at: target)

        show(sequential, mapped, saved, restored, later)
        guard saved.digests == restored.digests else {
            throw QMPError("the restored memory differs from the saved one")
        }
        guard [saved, restored, later].allSatisfy({ $0.verdict == "clean" }) else {
            throw QMPError("pages of the guest are not as they should be")
        }
    }

    /// What a stopped guest's memory says.
    private struct Look {
        let digests: [UInt64]
        /// What its pages prove.
        let verdict: String
        /// How many pages it has written.
        let writes: Int64
    }

    private func look(at session: DemoSession) async throws(QMPError) -> Look {
        try await session.send("x-query-workload")
        let workload = try await Self.workload(session)
        guard case .string(let verdict) = workload["verdict"] else {
            throw QMPError("the demo's guest has no workload")
        }
        return Look(
            digests: await session.endpoint.controller.blocks.map(\.digest),
            verdict: verdict,
            writes: Self.number(workload, "writes")
        )
    }

    /// Lets the guest write all its memory once, so that there is something to save.
    private static func waitUntilBusy(_ session: DemoSession) async throws(QMPError) {
        let pageCount = Int64(writtenByteCount / targetPageByteCount)
        while try await number(workload(session), "writes") < pageCount {
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    /// What `x-query-workload` says about the only workload.
    private static func workload(_ session: DemoSession) async throws(QMPError) -> JSONObject {
        guard case .array(let workloads) = try await session.ask("x-query-workload"),
            case .object(let workload)? = workloads.first
        else { return [:] }
        return workload
    }

    private static let mappedRAM: JSONObject = [
        "capabilities": .array([
            .object(["capability": .string("mapped-ram"), "state": .bool(true)])
        ])
    ]

    private static func makeEndpoint(isIncoming: Bool) throws(QMPError) -> Endpoint {
        let workload = GuestWorkloadProperties(
            memdev: "ram",
            size: UInt64(writtenByteCount),
            rate: writtenBytesPerSecond
        )
        let profile = EndpointProfile(
            identity: GuestIdentity(machineType: "none", name: "demo"),
            memoryByteCount: UInt64(guestByteCount),
            backends: [MemoryBackend(id: "ram", kind: .ram, byteCount: UInt64(guestByteCount))],
            ramBlocks: [RAMBlockSource(blockName: "ram", backendID: "ram")],
            writers: [ObjectOptions(id: "guest", variant: .guestWorkload(workload))],
            isIncoming: isIncoming,
            // The restored guest is looked at before it goes on.
            autostart: !isIncoming
        )
        return try Endpoint(profile)
    }

    /// What a save came to.
    private struct Save {
        let byteCount: Int
        let passes: Int64
        let milliseconds: Int64
        let downtime: Int64
    }

    private func save(_ session: DemoSession, to file: String) async throws(QMPError) -> Save {
        _ = try await session.ask(
            "migrate-set-parameters",
            ["max-bandwidth": .integer(Self.bytesPerSecond), "downtime-limit": .integer(5)]
        )
        try await session.send("migrate", ["uri": .string("file:\(folder)/\(file)")])
        var isPatient = true
        let info = try await session.waitForMigration { info throws(QMPError) in
            guard isPatient, Self.number(info, "ram", "dirty-sync-count") >= Self.patience else {
                return
            }
            isPatient = false
            print("  (the guest writes faster than the save goes: a longer stop is allowed)")
            try await session.send(
                "migrate-set-parameters",
                ["downtime-limit": .integer(2000)]
            )
        }
        let status = try? FileStatus(path: "\(folder)/\(file)")
        let save = Save(
            byteCount: Int(clamping: status?.byteCount ?? 0),
            passes: Self.number(info, "ram", "dirty-sync-count"),
            milliseconds: Self.number(info, "total-time"),
            downtime: Self.number(info, "downtime")
        )
        print(
            "  \(session.name): completed in \(save.milliseconds) ms, \(save.passes) passes, "
                + "stopped for \(save.downtime) ms"
        )
        return save
    }

    private static func number(_ object: JSONObject, _ path: String...) -> Int64 {
        var value: JSONValue? = .object(object)
        for key in path {
            guard case .object(let inner) = value else { return 0 }
            value = inner[key]
        }
        if case .integer(let number) = value { return number }
        return 0
    }

    private func show(
        _ sequential: Save,
        _ mapped: Save,
        _ saved: Look,
        _ restored: Look,
        _ later: Look
    ) {
        func mebibytes(_ bytes: Int) -> String { "\(bytes >> 20) MiB" }
        func digest(_ look: Look) -> String {
            look.digests.map { String($0, radix: 16) }.joined(separator: " ")
        }
        func pages(_ look: Look) -> String { "\(look.verdict) after \(look.writes) writes" }
        let isEqual = saved.digests == restored.digests
        print(
            """

            guest memory      \(mebibytes(Self.guestByteCount))
            sequential image  \(mebibytes(sequential.byteCount))   grows with what the guest writes
            mapped-ram image  \(mebibytes(mapped.byteCount))   bounded by the guest's size
            memory digest     \(digest(saved)) saved
                              \(digest(restored)) restored: \(isEqual ? "equal" : "DIFFERENT")
            guest's pages     \(pages(saved)) saved
                              \(pages(restored)) restored
                              \(pages(later)) later
            """
        )
    }

    /// Removes the images and their folder; `run` does it, except when a signal ends the process.
    public func removeImages() {
        for file in ["sequential.img", "mapped.img"] {
            unsafe unlink("\(folder)/\(file)")
        }
        unsafe rmdir(folder)
    }
}
