import BerthTestSupport
import Testing

/// A guest whose memory is written while it runs, and the machines that it can be in.
struct BusyGuest {
    let directory: PeersDirectory
    let guest: PeerGuest
    let workload: PeerWorkload

    private static let pageByteCount = 4096

    /// A guest that is nothing but memory and a workload.
    init(_ workload: PeerWorkload, megabytes: Int, memory: PeerMemoryKind = .anonymous) throws {
        directory = try PeersDirectory()
        var guest = PeerGuest(.none)
        guest.memoryByteCount = megabytes << 20
        guest.memory = memory
        self.guest = guest
        self.workload = workload
    }

    /// Starts Berth with the guest running.
    ///
    /// Returns when about as many pages were written as the workload has, so that nearly all of
    /// them (in order: all) aren't zero any more.
    func start(options: [String] = []) throws -> PeersMachine {
        let machine = try PeersMachine(
            .berth,
            guest,
            in: directory,
            paused: false,
            options: workload.options(memory: guest.machine.memoryName) + options
        )
        try machine.waitForWrites(beyond: Int64(workload.byteCount / Self.pageByteCount))
        return machine
    }

    /// Starts a machine that waits for the guest.
    func expect(
        in program: PeerProgram,
        paused: Bool = true,
        options: [String] = []
    ) throws -> PeersMachine {
        let workload = program == .berth ? workload.options(memory: guest.machine.memoryName) : []
        return try PeersMachine(
            program,
            guest,
            in: directory,
            paused: paused,
            incoming: "defer",
            options: workload + options
        )
    }

    /// Restores an image in a new machine, and leaves the guest stopped there.
    func restore(_ image: String, in program: PeerProgram, mapped: Bool) throws -> PeersMachine {
        let machine = try expect(in: program)
        try machine.setCapability("mapped-ram", mapped)
        try machine.migrateIncoming(from: "file:\(image)")
        try machine.waitForCompletion()
        return machine
    }

    /// Expects that the guest's memory in a machine where it stands still is of one instant.
    ///
    /// In Berth the workload's own check says so; QEMU's memory is dumped and checked by the test.
    ///
    /// - Returns: how many writes that memory has seen.
    @discardableResult
    func expectClean(
        in machine: PeersMachine,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Int64 {
        guard machine.program != .berth else {
            let state = try machine.workload()
            #expect(state.verdict == "clean", "\(state.answer)", sourceLocation: sourceLocation)
            return state.writes
        }
        let dump = try self.dump(machine)
        let pages = try PeerWorkloadPages(inDump: dump, of: workload)
        #expect(pages.findings == [], "\(machine.program)", sourceLocation: sourceLocation)
        return pages.writes
    }

    /// Expects that the guest's memory is the same in two machines, where it stands still.
    func expectSame(
        in destination: PeersMachine,
        as source: PeersMachine,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let left = try expectClean(in: source, sourceLocation: sourceLocation)
        let arrived = try expectClean(in: destination, sourceLocation: sourceLocation)
        #expect(arrived == left, "writes were lost", sourceLocation: sourceLocation)
        let digests = try [source, destination].map { try digest(in: $0) }
        #expect(digests[0] == digests[1], sourceLocation: sourceLocation)
    }

    /// Expects that the workload of a machine still writes, stops the guest, and expects that its
    /// memory is as it should be.
    func expectGoesOn(
        in machine: PeersMachine,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        #expect(try machine.runState() == "running", sourceLocation: sourceLocation)
        try machine.waitForWrites(beyond: try machine.workload().writes)
        try machine.monitor.execute("stop")
        try expectClean(in: machine, sourceLocation: sourceLocation)
    }

    /// Berth's digest of the memory in a machine; QEMU's memory is given to a Berth as its own.
    private func digest(in machine: PeersMachine) throws -> String {
        guard machine.program != .berth else { return try machine.digest() }
        var guest = guest
        guest.memory = .sharedFile
        let dump = try self.dump(machine)
        return try PeersMachine(.berth, guest, in: directory, memoryPath: dump).digest()
    }

    private func dump(_ machine: PeersMachine) throws -> String {
        let path = directory.file("dump-\(machine.process.identifier)")
        try machine.dumpMemory(of: guest, to: path)
        return path
    }
}
