import BerthJSON
import BerthMemory
import BerthMigration
public import BerthQAPI
import BerthSystem
import Glibc

/// `berth demo`: the main job, shown end to end in a few seconds.
public struct Demo: Sendable {
    private static let guestByteCount = 128 << 20
    /// Slow enough that the guest writes a good deal during a save.
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
        let writer = WriterBox()
        let source = DemoSession("source", try Self.makeEndpoint(isIncoming: false, writer))
        guard let guest = writer.writer else { throw QMPError("the demo's guest has no memory") }
        do {
            try guest.start()
        } catch {
            throw QMPError("cannot start the demo's guest: \(error)")
        }
        // The thread ends by itself within a burst.
        defer { guest.end() }

        print(
            "A guest of 128 MiB writes to its memory without end. It is saved twice while it runs.\n"
        )
        await source.endpoint.controller.startUp()
        try await source.send("query-status")

        print("\n1. As QEMU saves by default: pages one after the other, changed ones again.")
        let sequential = try await save(source, to: "sequential.img")

        print("\n2. As mapped-ram: every page has its place in the file.")
        try await source.send("cont")
        try await source.send("migrate-set-capabilities", Self.mappedRAM)
        let mapped = try await save(source, to: "mapped.img")
        let digest = await source.endpoint.controller.blocks.map(\.digest)

        print("\n3. The second image is restored in another endpoint.")
        let target = DemoSession("target", try Self.makeEndpoint(isIncoming: true, nil))
        try await target.send("migrate-set-capabilities", Self.mappedRAM)
        try await target.send("migrate-incoming", ["uri": .string("file:\(folder)/mapped.img")])
        _ = try await target.waitForMigration()
        try await target.send("query-status")
        let restored = await target.endpoint.controller.blocks.map(\.digest)

        show(sequential, mapped, digest, restored)
        guard digest == restored else {
            throw QMPError("the restored memory differs from the saved one")
        }
    }

    private static let mappedRAM: JSONObject = [
        "capabilities": .array([
            .object(["capability": .string("mapped-ram"), "state": .bool(true)])
        ])
    ]

    private static func makeEndpoint(
        isIncoming: Bool,
        _ writer: WriterBox?
    ) throws(QMPError) -> Endpoint {
        let profile = EndpointProfile(
            identity: GuestIdentity(machineType: "none", name: "demo"),
            memoryByteCount: UInt64(guestByteCount),
            backends: [MemoryBackend(id: "ram", kind: .ram, byteCount: UInt64(guestByteCount))],
            ramBlocks: [RAMBlockSource(blockName: "ram", backendID: "ram")],
            isIncoming: isIncoming
        )
        guard let writer else { return try Endpoint(profile) }
        return try Endpoint(profile) { memory in
            writer.make(memory)
        }
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
        _ saved: [UInt64],
        _ restored: [UInt64]
    ) {
        func mebibytes(_ bytes: Int) -> String { "\(bytes >> 20) MiB" }
        func text(_ digests: [UInt64]) -> String {
            digests.map { String($0, radix: 16) }.joined(separator: " ")
        }
        print(
            """

            guest memory      \(mebibytes(Self.guestByteCount))
            sequential image  \(mebibytes(sequential.byteCount))   grows with what the guest writes
            mapped-ram image  \(mebibytes(mapped.byteCount))   bounded by the guest's size
            memory digest     \(text(saved)) saved
                              \(text(restored)) restored: \(saved == restored ? "equal" : "DIFFERENT")
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
