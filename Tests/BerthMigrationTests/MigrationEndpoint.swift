import BerthMemory
import BerthMigration
import BerthQAPI
import BerthSystem
import BerthTransport
import BerthWire
import Glibc
import Synchronization
import Testing

/// A controller with a guest and a log of its events, as an endpoint without monitors.
struct MigrationEndpoint {
    let controller: MigrationController
    let memory: GuestMemory
    let log = EventLog()
    let exits = EventLog()
    /// What it told on standard error.
    let complaints = EventLog()

    /// Makes an endpoint of machine `none` with one block `ram`.
    ///
    /// - Parameter capabilities: turned on beside `events`.
    init(
        pageCount: Int = 512,
        machineType: String = "none",
        blockName: String = "ram",
        uuid: GuestUUID? = nil,
        isIncoming: Bool = false,
        autostart: Bool = true,
        activity: ((RAMBlock) -> any GuestActivity)? = nil,
        capabilities: MigrationCapability...
    ) async throws {
        let block = try RAMBlock(id: blockName, byteCount: pageCount * targetPageByteCount)
        memory = GuestMemory([block])
        let log = log
        let exits = exits
        let complaints = complaints
        controller = MigrationController(
            identity: GuestIdentity(machineType: machineType, uuid: uuid),
            memory: memory,
            isIncoming: isIncoming,
            autostart: autostart,
            activity: activity?(block),
            environment: .init(
                emit: { log.note($0) },
                exit: { status, message in exits.note("\(status): \(message)") },
                complain: { complaints.note($0) }
            )
        )
        try await controller.setCapabilities(
            ([.events] + capabilities).map {
                MigrationCapabilityStatus(capability: $0, state: true)
            }
        )
        // Unlimited: tests that want a limit set one.
        try await setBandwidth(0)
        if !isIncoming {
            await controller.startUp()
        }
        log.clear()
    }

    var block: RAMBlock { memory.blocks[0] }

    var digest: UInt64 { block.digest }

    /// Fills every second page, or every page, with content of its own.
    func fill(every step: Int = 2, version: UInt64 = 1) {
        for page in stride(from: 0, to: block.pageCount, by: step) {
            let base = block.base + page * targetPageByteCount
            for offset in stride(from: 0, to: targetPageByteCount, by: 8) {
                base.storeBytes(
                    of: version << 40 | UInt64(page) << 12 | UInt64(offset),
                    toByteOffset: offset,
                    as: UInt64.self
                )
            }
        }
    }

    var isZero: Bool { BerthMemory.isZero(block.base, byteCount: block.byteCount) }

    func setBandwidth(_ bytesPerSecond: UInt64) async throws {
        var parameters = await controller.parameterValues
        parameters.maxBandwidth = bytesPerSecond
        try await controller.setParameters(parameters)
    }

    func migrate(
        to uri: String,
        resources: TransportResources = TransportResources()
    ) async throws {
        try await controller.migrate(
            to: MigrationAddress(uri: uri),
            resume: false,
            resources: resources
        )
    }

    func receive(
        from uri: String,
        exitOnError: Bool = false,
        resources: TransportResources = TransportResources()
    ) async throws {
        try await controller.migrateIncoming(
            from: MigrationAddress(uri: uri),
            exitOnError: exitOnError,
            resources: resources
        )
    }

    /// The address that a destination with a port of the kernel's choice listens on.
    func boundURI() async throws -> String {
        let address = try #require(await controller.info.socketAddress?.first)
        guard case .inet(let inet) = address else {
            Issue.record("not a TCP address: \(address)")
            return ""
        }
        return "tcp:127.0.0.1:\(inet.port)"
    }

    var status: MigrationStatus? {
        get async { await controller.info.status }
    }

    var runState: RunState {
        get async { await controller.status.state }
    }

    /// Events that end a migration.
    static let ends = ["M completed", "M failed", "M cancelled"]

    /// Waits for the end and gives the events so far, without the passes of further rounds.
    ///
    /// How many rounds there are before the stop depends on the machine's load. Those that remain
    /// are numbered anew.
    func eventsToTheEnd() async -> [String] {
        await log.wait(forAnyOf: Self.ends)
        var shaped: [String] = []
        var passes: [Int] = []
        var isActive = false
        for event in log.events {
            guard event.hasPrefix("P "), let pass = Int(event.dropFirst(2)) else {
                isActive = event == "M active"
                shaped.append(event)
                continue
            }
            passes.append(pass)
            if !isActive {
                shaped.append("P \(shaped.count { $0.hasPrefix("P ") } + 1)")
            }
        }
        #expect(passes == Array(0..<passes.count).map { $0 + 1 })
        return shaped
    }
}

/// The transcript of a save without errors, of a guest that runs and does nothing.
let quietSave = ["M setup", "P 1", "M active", "STOP", "M device", "P 2", "M completed"]

/// A unix socket whose other side a test plays.
final class PlayedPeer: Sendable {
    let path: String
    private let listener: Mutex<OwnedDescriptor?>

    /// Listens; connections wait in the kernel's queue until `accept`.
    init(path: String, backlog: CInt = 8) throws {
        self.path = path
        let raw = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        let descriptor = OwnedDescriptor(raw)
        _ = try Self.withAddress(path) { address, count in
            try SystemCall.check("bind", path) { bind(raw, address, count) }
        }
        try SystemCall.check("listen", path) { listen(raw, backlog) }
        listener = Mutex(descriptor)
    }

    var uri: String { "unix:\(path)" }

    /// Takes the first connection.
    func accept() throws -> Channel {
        let raw = listener.withLock { $0?.raw ?? -1 }
        let descriptor = try SystemCall.check("accept", path) { Glibc.accept(raw, nil, nil) }
        return try Channel(OwnedDescriptor(descriptor), name: "peer")
    }

    /// Fills the queue, so that the next who connects has to wait.
    func fillQueue() throws -> [Channel] {
        var all: [Channel] = []
        while true {
            let raw = socket(
                AF_UNIX,
                CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue),
                0
            )
            let descriptor = OwnedDescriptor(raw)
            let result = Self.withAddress(path) { connect(raw, $0, $1) }
            guard result == 0 else { return all }
            all.append(try Channel(descriptor, name: "queued"))
        }
    }

    /// Accepts, reads everything, and holds the connection open; ends when the other side closes.
    func readAndStaySilent() throws -> NamedThread {
        try NamedThread.start(name: "test-silent") {
            guard let channel = try? self.accept() else { return }
            Self.drain(channel)
        }
    }

    /// Reads up to the end of the stream.
    static func drain(_ channel: Channel, upTo limit: Int = .max) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        var total = 0
        while total < limit {
            let count = buffer.withUnsafeMutableBytes { try? channel.read(into: $0) }
            guard let count, count > 0 else { return }
            total += count
        }
    }

    private static func withAddress<Result>(
        _ path: String,
        _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Result
    ) rethrows -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        return try withUnsafePointer(to: &address) {
            try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}

/// Descriptors under names, as a monitor keeps them for `fd:`.
func resources(_ named: [String: CInt]) -> TransportResources {
    TransportResources(
        look: { name in named[name].flatMap { try? OwnedDescriptor.duplicate(of: $0) } },
        take: { name in named[name].flatMap { try? OwnedDescriptor.duplicate(of: $0) } }
    )
}
