/// Which program plays a machine.
public enum PeerProgram: Sendable, CustomStringConvertible {
    /// Real QEMU, 10.0 or later.
    case qemu
    /// Real QEMU 7.2.
    case oldQEMU
    /// `berth run`.
    case berth

    /// The words of the command line that come before all options.
    var command: [String] {
        get throws {
            let (program, rest): (String?, [String]) =
                switch self {
                case .qemu: (Peers.qemu, [])
                case .oldQEMU: (Peers.oldQEMU, [])
                case .berth: (Peers.berth, ["run"])
                }
            guard let program else { throw PeerFailure("\(self) isn't on this machine") }
            return [program] + rest
        }
    }

    /// A short name for a test's output.
    public var description: String {
        switch self {
        case .qemu: "QEMU 10"
        case .oldQEMU: "QEMU 7.2"
        case .berth: "Berth"
        }
    }
}

/// The machine types that the interop tests use.
public enum PeerMachineType: String, Sendable, CaseIterable {
    /// No devices and no processor: memory alone.
    case none
    /// The i440FX PC.
    case pc
    /// The Q35 PC.
    case q35

    /// The name of the versioned machine type, as both sides must use it.
    func name(ofVersion version: String) -> String {
        switch self {
        case .none: "none"
        case .pc: "pc-i440fx-\(version)"
        case .q35: "pc-q35-\(version)"
        }
    }

    /// The name that QEMU gives the machine's main memory in the stream.
    public var memoryName: String {
        self == .none ? "ram" : "pc.ram"
    }
}

/// The kinds of memory backend that the interop tests use.
public enum PeerMemoryKind: String, Sendable, CaseIterable {
    /// A file that the test can read: `share=on`.
    case sharedFile = "memory-backend-file"
    /// Memory that only the process has.
    case anonymous = "memory-backend-ram"
    /// An anonymous file.
    case memfd = "memory-backend-memfd"
}

/// A guest on a command line: what two ends of a migration must agree on.
public struct PeerGuest: Sendable {
    /// The machine type.
    public var machine: PeerMachineType
    /// The QEMU version of the machine type; "10.0" or "7.2".
    public var version = "10.0"
    /// Bytes of main memory.
    public var memoryByteCount = 32 << 20
    /// What the main memory is made of.
    public var memory = PeerMemoryKind.sharedFile
    /// The firmware, or `nil` for the program's own.
    public var firmware: String?

    /// The machine's name in its version, as it stands in streams.
    public var machineName: String { machine.name(ofVersion: version) }

    /// A guest of this machine type.
    public init(_ machine: PeerMachineType, version: String = "10.0", firmware: String? = nil) {
        self.machine = machine
        self.version = version
        self.firmware = firmware
    }
}

/// A running endpoint, real QEMU or Berth, with its monitor, and its guest's memory in a file.
public final class PeersMachine {
    /// The program that runs.
    public let program: PeerProgram
    /// Its process.
    public let process: PeersProcess
    /// The session with its monitor, with the capability `events` on.
    public let monitor: PeersQMP
    /// The file behind the main memory, shared with the process: what the guest writes can be read here,
    /// unless the guest's memory is of another kind.
    public let memoryPath: String
    /// The socket of the monitor, free for further clients.
    public let monitorPath: String

    /// Starts the program and negotiates.
    ///
    /// - Parameters:
    ///   - guest: The guest; both ends of a migration get the same.
    ///   - memoryPath: An existing file with the memory's content, or `nil` for empty memory.
    ///   - paused: Whether to start with `-S`.
    ///   - incoming: What follows `-incoming`; `nil` for a machine that starts by itself.
    public init(
        _ program: PeerProgram,
        _ guest: PeerGuest,
        in directory: PeersDirectory,
        memoryPath: String? = nil,
        paused: Bool = true,
        incoming: String? = nil,
        options: [String] = []
    ) throws {
        let label = "\(program)-\(UInt32.random(in: 0 ... .max))".filter { $0 != " " }
        let name = guest.machine.memoryName
        self.program = program
        self.memoryPath = memoryPath ?? directory.file("memory-\(label)")
        monitorPath = directory.file("qmp-\(label)")

        var arguments = try program.command
        arguments += ["-nodefaults", "-no-user-config", "-display", "none"]
        arguments += ["-accel", "kvm", "-accel", "tcg"]
        let file = guest.memory == .sharedFile ? ",share=on,mem-path=\(self.memoryPath)" : ""
        arguments += [
            "-object",
            "\(guest.memory.rawValue),id=\(name),size=\(guest.memoryByteCount)B" + file,
            "-machine", "\(guest.machine.name(ofVersion: guest.version)),memory-backend=\(name)",
            "-m", "\(guest.memoryByteCount >> 20)",
        ]
        if let firmware = guest.firmware { arguments += ["-bios", firmware] }
        if paused { arguments.append("-S") }
        if let incoming { arguments += ["-incoming", incoming] }
        arguments += ["-qmp", "unix:\(monitorPath),server=on,wait=off"] + options

        // Once in thousands of starts QEMU 10.0.2 takes a connection twice while it moves the monitor to
        // its own thread, and waits for ever in the second accept. It gets another try; Berth doesn't.
        var attempts = program == .berth ? 1 : 3
        while true {
            attempts -= 1
            let process = try PeersProcess(arguments, in: directory)
            do {
                monitor = try PeersQMP(connectingTo: monitorPath) { process.isRunning }
                self.process = process
                break
            } catch let failure as PeerFailure {
                let ended = !process.isRunning
                process.kill()
                if ended || attempts == 0 {
                    throw PeerFailure("\(program): \(failure); it said: \(process.errorOutput)")
                }
            }
        }
        try setCapability("events", true)
    }

    /// Turns a migration capability on or off.
    public func setCapability(_ name: String, _ state: Bool) throws {
        try monitor.execute(
            "migrate-set-capabilities",
            ["capabilities": [["capability": .string(name), "state": .bool(state)]]]
        )
    }

    /// Sets one migration parameter.
    public func setParameter(_ name: String, _ value: PeersJSON) throws {
        try monitor.execute("migrate-set-parameters", .object([name: value]))
    }

    /// Starts an incoming migration on a machine started with `-incoming defer`.
    public func migrateIncoming(from uri: String) throws {
        var arguments: [String: PeersJSON] = ["uri": .string(uri)]
        // QEMU 7.2 knows no other way than to exit on an error.
        if program != .oldQEMU { arguments["exit-on-error"] = false }
        try monitor.execute("migrate-incoming", .object(arguments))
    }

    /// Starts an outgoing migration and returns at once.
    public func startMigration(to uri: String) throws {
        try monitor.execute("migrate", ["uri": .string(uri)])
    }

    /// Starts an outgoing migration and waits until it is complete.
    ///
    /// - Returns: The answer to `query-migrate` then.
    @discardableResult
    public func migrate(to uri: String) throws -> PeersJSON {
        try startMigration(to: uri)
        return try waitForCompletion()
    }

    /// Waits for the end of the migration, outgoing or incoming.
    ///
    /// - Returns: The answer to `query-migrate` then.
    /// - Throws: If it ends as anything but `completed`, with the reason that the peer gave.
    @discardableResult
    public func waitForCompletion() throws -> PeersJSON {
        let end = try waitForEnd()
        let info = try monitor.execute("query-migrate")
        guard end == "completed" else {
            throw PeerFailure(
                "\(program) ended the migration as '\(end)': "
                    + "\(info["error-desc"]?.string ?? "no reason given"); \(process.errorOutput)"
            )
        }
        return info
    }

    /// Waits for the end of the migration, whatever it is: completed, failed or cancelled.
    public func waitForEnd() throws -> String {
        let ends: Set = ["completed", "failed", "cancelled"]
        do {
            let event = try monitor.waitForEvent("MIGRATION") {
                ends.contains($0["status"]?.string ?? "")
            }
            return event["data"]?["status"]?.string ?? ""
        } catch let failure as PeerFailure {
            throw PeerFailure("\(program): \(failure); it said: \(process.errorOutput)")
        }
    }

    /// The run state, as `query-status` gives it.
    public func runState() throws -> String {
        try monitor.execute("query-status")["status"]?.string ?? ""
    }

    /// The port that an incoming migration on `tcp:127.0.0.1:0` got from the kernel.
    public func listeningPort() throws -> String {
        let info = try monitor.execute("query-migrate")
        guard let port = info["socket-address"]?[0]?["port"]?.string else {
            throw PeerFailure("\(program) named no port in \(info)")
        }
        return port
    }

    /// Ends the program through its monitor, and waits for it.
    ///
    /// - Returns: Its exit status.
    @discardableResult
    public func quit() throws -> Int {
        _ = try? monitor.execute("quit")
        return try process.waitForExit(limit: .seconds(20))
    }
}
