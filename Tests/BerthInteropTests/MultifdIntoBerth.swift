import BerthTestSupport
import Testing

/// How the pages of a multifd migration travel.
struct MultifdRoute: Sendable, CustomTestStringConvertible {
    var transport = "unix"
    var channelCount = 2
    var compression = "none"
    var zeroPages = "multifd"
    var hasReturnPath = false

    var testDescription: String {
        "\(transport), \(channelCount) channels, \(compression), zero pages \(zeroPages)"
            + (hasReturnPath ? ", return path" : "")
    }

    /// Every value of every setting, and the pairs that have something to do with each other.
    static let all = [
        MultifdRoute(channelCount: 1),
        MultifdRoute(channelCount: 8, hasReturnPath: true),
        MultifdRoute(transport: "tcp"),
        MultifdRoute(transport: "tcp", channelCount: 8, zeroPages: "legacy"),
        MultifdRoute(channelCount: 1, zeroPages: "none"),
        MultifdRoute(zeroPages: "legacy", hasReturnPath: true),
        MultifdRoute(transport: "tcp", channelCount: 1, compression: "zlib"),
        MultifdRoute(channelCount: 8, compression: "zlib", zeroPages: "none"),
        MultifdRoute(compression: "zlib", zeroPages: "legacy", hasReturnPath: true),
        MultifdRoute(transport: "tcp", channelCount: 8, compression: "zstd", hasReturnPath: true),
        MultifdRoute(channelCount: 1, compression: "zstd", zeroPages: "none"),
        MultifdRoute(channelCount: 2, compression: "zstd", zeroPages: "legacy"),
    ]

    /// Sets a source of QEMU 10 up.
    func apply(toSource source: PeersMachine) throws {
        try source.setCapability("multifd", true)
        try source.setCapability("return-path", hasReturnPath)
        try source.setParameter("multifd-channels", .integer(Int64(channelCount)))
        try source.setParameter("multifd-compression", .string(compression))
        if source.program != .oldQEMU {
            try source.setParameter("zero-page-detection", .string(zeroPages))
        }
    }

    /// Sets a destination up: zero pages are the source's business.
    func apply(toDestination destination: PeersMachine) throws {
        try destination.setCapability("multifd", true)
        try destination.setCapability("return-path", hasReturnPath)
        try destination.setParameter("multifd-channels", .integer(Int64(channelCount)))
        try destination.setParameter("multifd-compression", .string(compression))
    }

    /// Starts to listen, and gives the address to connect to.
    func listen(_ destination: PeersMachine, _ directory: PeersDirectory) throws -> String {
        guard transport == "tcp" else {
            let address = "unix:\(directory.file("socket"))"
            try destination.migrateIncoming(from: address)
            return address
        }
        try destination.migrateIncoming(from: "tcp:127.0.0.1:0")
        return "tcp:127.0.0.1:\(try destination.listeningPort())"
    }
}

extension Interop {
    /// Guests that come from real QEMU over multifd channels.
    @Suite(.requiresBerth, .requiresQEMU10) struct MultifdIntoBerth {
        private let directory: PeersDirectory

        init() throws { directory = try PeersDirectory() }

        @Test(.timeLimit(.minutes(2)), arguments: MultifdRoute.all)
        func `all memory arrives`(_ route: MultifdRoute) throws {
            var guest = PeerGuest(.none)
            guest.memoryByteCount = 96 << 20
            try move(guest, route)
        }

        @Test(.timeLimit(.minutes(2)), arguments: [PeerMachineType.pc, .q35])
        func `a machine with devices arrives and goes on to QEMU`(
            _ machine: PeerMachineType
        ) throws {
            let guest = PeerGuest(machine)
            let berth = try move(guest, MultifdRoute(channelCount: 4, hasReturnPath: true))
            let last = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            for end in [berth, last] {
                try end.setCapability("multifd", false)
                try end.setCapability("return-path", false)
            }
            try Route.unix.move(from: berth, to: last, in: directory, hop: 2)
            try expectSameMemory(berth.memoryPath, last.memoryPath)
        }

        /// Machine types up to 8.0 have a sync point at the end of each section.
        @Test(
            .timeLimit(.minutes(2)),
            arguments: [PeerMachineType.pc, .q35],
            ["8.0", "8.1", "8.2"]
        )
        func `a machine of an older version arrives`(
            _ machine: PeerMachineType,
            _ version: String
        ) throws {
            var route = MultifdRoute(channelCount: 3)
            // What these versions do by themselves.
            route.zeroPages = "legacy"
            try move(PeerGuest(machine, version: version), route)
        }

        @Test(
            .requiresQEMU72,
            .timeLimit(.minutes(2)),
            arguments: PeerMachineType.allCases,
            ["none", "zlib", "zstd"]
        )
        func `a guest of QEMU 7.2 arrives`(
            _ machine: PeerMachineType,
            _ compression: String
        ) throws {
            let guest = PeerGuest(machine, version: "7.2")
            try move(guest, MultifdRoute(channelCount: 3, compression: compression), from: .oldQEMU)
        }

        /// Moves a stopped guest with patterned memory into Berth, and compares.
        @discardableResult
        private func move(
            _ guest: PeerGuest,
            _ route: MultifdRoute,
            from program: PeerProgram = .qemu
        ) throws -> PeersMachine {
            let memory = directory.file("memory")
            try PeersMemory.writePattern(to: memory, byteCount: guest.memoryByteCount, seed: 21)
            let source = try PeersMachine(program, guest, in: directory, memoryPath: memory)
            let berth = try PeersMachine(.berth, guest, in: directory, incoming: "defer")
            try route.apply(toSource: source)
            try route.apply(toDestination: berth)
            let address = try route.listen(berth, directory)
            try source.migrate(to: address)
            try berth.waitForCompletion()
            try expectSameMemory(memory, berth.memoryPath)
            return berth
        }

        @Test(
            .requiresGuest,
            .timeLimit(.minutes(2)),
            arguments: ["none", "zstd"],
            ["multifd", "legacy"]
        )
        func `a guest that writes goes on where it was`(
            _ compression: String,
            _ zeroPages: String
        ) throws {
            try moveCounting(
                from: .qemu,
                PeerGuest(.pc, firmware: Peers.guest),
                MultifdRoute(
                    channelCount: 4,
                    compression: compression,
                    zeroPages: zeroPages,
                    hasReturnPath: true
                )
            )
        }

        @Test(.requiresGuest, .timeLimit(.minutes(2)), arguments: ["8.0", "8.2"])
        func `a guest that writes in a machine of an older version goes on`(
            _ version: String
        ) throws {
            let guest = PeerGuest(.q35, version: version, firmware: Peers.guest)
            try moveCounting(from: .qemu, guest, MultifdRoute(channelCount: 4, zeroPages: "legacy"))
        }

        @Test(.requiresGuest, .requiresQEMU72, .timeLimit(.minutes(2)))
        func `a guest that writes in QEMU 7.2 goes on`() throws {
            let guest = PeerGuest(.q35, version: "7.2", firmware: Peers.guest)
            try moveCounting(from: .oldQEMU, guest, MultifdRoute(channelCount: 4))
        }

        /// Moves a running guest into Berth in several rounds, and from there to QEMU, where it runs
        /// on.
        private func moveCounting(
            from program: PeerProgram,
            _ guest: PeerGuest,
            _ route: MultifdRoute
        ) throws {
            let source = try PeersMachine(program, guest, in: directory, paused: false)
            try source.waitForRounds(2)
            let berth = try PeersMachine(.berth, guest, in: directory, incoming: "defer")
            try route.apply(toSource: source)
            try route.apply(toDestination: berth)
            // Slow enough that the guest writes everything again while it is sent.
            try source.setParameter("max-bandwidth", 100_000_000)
            let address = try route.listen(berth, directory)
            try source.migrate(to: address)
            try berth.waitForCompletion()
            try expectSameMemory(source.memoryPath, berth.memoryPath)
            let arrived = try CounterState(memoryPath: berth.memoryPath)

            let last = try PeersMachine(.qemu, guest, in: directory, incoming: "defer")
            for end in [berth, last] { try end.setCapability("return-path", false) }
            try berth.setCapability("multifd", false)
            try Route.tcp.move(from: berth, to: last, in: directory, hop: 2)
            try last.monitor.execute("cont")
            try last.waitForRounds(2, beyond: arrived)
            try last.monitor.execute("stop")
            #expect(try CounterState.findings(memoryPath: last.memoryPath) == [])
        }
    }
}
