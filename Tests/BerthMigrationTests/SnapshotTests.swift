import BerthMemory
import BerthMigration
import BerthQAPI
import BerthSystem
import BerthTestSupport
import Synchronization
import Testing

/// Background snapshots: a guest's memory as of one instant, while it runs on.
@Suite(.timeLimit(.minutes(10)))
struct SnapshotTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    /// A guest that writes all the time, half of its memory full, and who watches its pauses.
    private func makeGuest(
        isMapped: Bool,
        pageCount: Int = 4096
    ) async throws -> (MigrationEndpoint, PauseWatch) {
        let box = Mutex<PauseWatch?>(nil)
        let guest = try await MigrationEndpoint(
            pageCount: pageCount,
            activity: { block in
                let watch = PauseWatch(block)
                box.withLock { $0 = watch }
                return watch
            },
            capabilities: .backgroundSnapshot
        )
        try await guest.controller.setCapabilities([
            .init(capability: .mappedRAM, state: isMapped)
        ])
        guest.fill()
        return (guest, try #require(box.withLock { $0 }))
    }

    private func restore(_ file: String, isMapped: Bool, pageCount: Int = 4096) async throws
        -> MigrationEndpoint
    {
        let target = try await MigrationEndpoint(pageCount: pageCount, isIncoming: true)
        try await target.controller.setCapabilities([
            .init(capability: .mappedRAM, state: isMapped)
        ])
        try await target.receive(from: "file:\(directory.file(file))")
        #expect(await target.eventsToTheEnd().last == "M completed")
        return target
    }

    @Test(arguments: [false, true])
    func `T17: the image is the memory of the instant at which the guest was held`(
        _ isMapped: Bool
    ) async throws {
        let (guest, watch) = try await makeGuest(isMapped: isMapped)
        try await guest.migrate(to: "file:\(directory.file("image"))")
        #expect(
            await guest.eventsToTheEnd()
                == ["M setup", "M active", "STOP", "RESUME", "M completed"]
        )
        #expect(await guest.runState == .running)
        let info = await guest.controller.info
        #expect(info.ram?.dirtySyncCount == 0)
        #expect(info.ram?.remaining == 0)
        #expect(info.downtime != nil)
        let target = try await restore("image", isMapped: isMapped)
        #expect(watch.digests == [target.digest])
        #expect(await target.runState == .running)
        // It wrote on, so a later memory would have been another.
        try await guest.controller.stop()
        #expect(watch.digests.count == 2)
    }

    @Test(arguments: [false, true])
    func `T18: of a guest that is paused nothing is stopped`(_ isMapped: Bool) async throws {
        let (guest, watch) = try await makeGuest(isMapped: isMapped)
        try await guest.controller.stop()
        guest.log.clear()
        try await guest.migrate(to: "file:\(directory.file("image"))")
        #expect(await guest.eventsToTheEnd() == ["M setup", "M active", "M completed"])
        #expect(await guest.runState == .paused)
        let target = try await restore("image", isMapped: isMapped)
        #expect(watch.digests == [target.digest])
        #expect(await target.runState == .paused)
    }

    @Test func `an image has each page with content once`() async throws {
        let (guest, _) = try await makeGuest(isMapped: false)
        try await guest.migrate(to: "file:\(directory.file("image"))")
        #expect(await guest.eventsToTheEnd().last == "M completed")
        let ram = try #require(await guest.controller.info.ram)
        #expect(ram.normal + ram.duplicate == 4096)
        let status = try FileStatus(path: directory.file("image"))
        // Data and a word for each page, a word and a byte for each zero page, and the frame.
        let pages = Int(ram.normal) * (4096 + 8) + Int(ram.duplicate) * 9
        #expect(Int(status.byteCount) < pages + 16384)
    }

    @Test func `T19: a snapshot that is cancelled leaves the guest as it runs`() async throws {
        let (guest, watch) = try await makeGuest(isMapped: false)
        let peer = try PlayedPeer(path: directory.file("peer"))
        try await guest.migrate(to: peer.uri)
        // Nobody reads: the snapshot can't end.
        let channel = try peer.accept()
        await guest.log.wait(for: "RESUME")
        await guest.controller.cancel()
        #expect(
            await guest.eventsToTheEnd()
                == ["M setup", "M active", "STOP", "RESUME", "M cancelling", "M cancelled"]
        )
        #expect(await guest.runState == .running)
        // No writer is left waiting for a page, and another try works.
        try await guest.controller.stop()
        try await guest.controller.resume()
        guest.log.clear()
        try await guest.migrate(to: "file:\(directory.file("image"))")
        #expect(await guest.eventsToTheEnd().last == "M completed")
        let target = try await restore("image", isMapped: false)
        #expect(watch.digests.last == target.digest)
        withExtendedLifetime(channel) {}
    }

    @Test func `T19: a snapshot that finds no room leaves the guest as it runs`() async throws {
        let disk = try #require(StreamTinyFileSystem(on: directory.file("disk")))
        for isMapped in [false, true] {
            let (guest, _) = try await makeGuest(isMapped: isMapped, pageCount: 8192)
            try await guest.migrate(to: "file:\(disk.folder)/image")
            #expect(
                await guest.eventsToTheEnd()
                    == ["M setup", "M active", "STOP", "RESUME", "M failed"]
            )
            #expect(await guest.runState == .running)
            try await guest.controller.stop()
        }
    }

    @Test func `a guest that can't be held fails the snapshot and runs on`() async throws {
        let guest = try await MigrationEndpoint(
            activity: { _ in StubbornWriter() },
            capabilities: .backgroundSnapshot
        )
        guest.fill()
        try await guest.migrate(to: "file:\(directory.file("image"))")
        #expect(await guest.eventsToTheEnd() == ["M setup", "M active", "M failed"])
        #expect(await guest.controller.info.errorDesc?.contains("goes on") == true)
        #expect(await guest.runState == .running)
        await #expect(throws: MigrationError.self) { try await guest.controller.stop() }
        #expect(await guest.runState == .running)
    }

    @Test func `what a writer can't be held from is refused before anything starts`() async throws {
        let guest = try await MigrationEndpoint(
            activity: { _ in StubbornWriter(refusesSnapshots: true) },
            capabilities: .backgroundSnapshot
        )
        let error = await #expect(throws: MigrationError.self) {
            try await guest.migrate(to: "file:\(directory.file("image"))")
        }
        #expect(error?.hint != nil)
        #expect(await guest.status == nil)
        #expect(guest.log.events == [])
        #expect(throws: SystemCallError.self) { try FileStatus(path: directory.file("image")) }
    }
}

/// A writer that takes the digest of memory each time it was stopped.
final class PauseWatch: GuestActivity {
    private let writer: PageWriter
    private let block: RAMBlock
    private let noted = Mutex<[UInt64]>([])

    init(_ block: RAMBlock) {
        self.block = block
        writer = PageWriter(block)
    }

    var digests: [UInt64] { noted.withLock { $0 } }

    func pause() {
        writer.pause()
        noted.withLock { $0.append(block.digest) }
    }

    func resume() { writer.resume() }
}

/// A writer that doesn't stop.
struct StubbornWriter: GuestActivity {
    var refusesSnapshots = false

    func pause() throws(MigrationError) {
        throw MigrationError("cannot stop the guest: the writer goes on")
    }

    func resume() {}

    func obstacle(toSnapshot snapshot: Bool) -> MigrationError? {
        snapshot && refusesSnapshots ? MigrationError("no snapshots", hint: "do without") : nil
    }
}
