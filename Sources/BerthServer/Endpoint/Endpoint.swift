import BerthMemory
public import BerthMigration
public import BerthMonitor
public import BerthQAPI
public import BerthTransport
import Synchronization

/// One end of a migration: a guest, its migrations, and what its monitors ask for.
///
/// Overview: the composition of the other parts, and the only place where a QMP command meets a
/// migration. Command handlers are in `Commands/`, one file per family. A whole endpoint lives
/// in any process, as the tests and `berth demo` show; `berth run` is one with a command line.
public final class Endpoint: Sendable {
    /// The guest and its migrations.
    public let controller: MigrationController
    /// Sends events to the monitors.
    public let events: EventBroadcaster
    /// Descriptors of `add-fd` and `-add-fd`.
    public let fdSets: FDSets
    /// What the monitors say about the process.
    public let profile: EndpointProfile
    let objects: MemoryObjects
    let writers: GuestWriters
    /// The monitors, once they are served.
    let monitors = MonitorsBox()

    private let exit: ExitRequest

    /// Makes an endpoint from what its command line says; allocates the guest's memory.
    ///
    /// - Parameter complain: tells whoever looks after the process what went wrong; nil writes to
    ///   standard error.
    /// - Throws: `QMPError` that names what was wrong with memory, machine or workloads.
    public init(
        _ profile: EndpointProfile,
        fdSets: FDSets = FDSets(),
        events: EventBroadcaster = EventBroadcaster(),
        complain: (@Sendable (String) -> Void)? = nil
    ) throws(QMPError) {
        let objects = MemoryObjects()
        let memory = try profile.makeMemory(objects)
        let writers = GuestWriters(objects)
        for options in profile.writers {
            try writers.add(options, expectsContent: profile.isIncoming)
        }
        let exit = ExitRequest()
        self.exit = exit
        self.profile = profile
        self.objects = objects
        self.writers = writers
        self.events = events
        self.fdSets = fdSets
        controller = MigrationController(
            identity: profile.identity,
            memory: memory,
            isIncoming: profile.isIncoming,
            autostart: profile.autostart,
            dialect: profile.dialect,
            activity: writers,
            environment: .init(
                emit: { events.emit($0) },
                exit: { exit.make(EndpointExit(status: $0, message: $1)) },
                complain: complain
            )
        )
    }

    /// Asks the process to end; the first request counts.
    public func requestExit(status: Int32, message: String) {
        exit.make(EndpointExit(status: status, message: message))
    }

    /// Waits until `quit`, a signal or a failed incoming migration ends the endpoint.
    public func waitForExit() async -> EndpointExit {
        await exit.wait()
    }
}

/// Lets `query-chardev` find the monitors, which are made after the endpoint that they serve.
final class MonitorsBox: Sendable {
    private let server = Mutex<MonitorServer?>(nil)

    /// Sets the server, once.
    func set(_ server: MonitorServer) {
        self.server.withLock { $0 = server }
    }

    /// The monitors' devices.
    var devices: [MonitorDeviceStatus] {
        server.withLock { $0 }?.devices ?? []
    }
}

/// How an endpoint ended.
public struct EndpointExit: Sendable, Equatable {
    /// Exit status of the process.
    public let status: Int32
    /// A line for standard error; empty if there is nothing to say.
    public let message: String
}
