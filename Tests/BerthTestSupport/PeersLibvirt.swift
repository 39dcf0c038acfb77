import Foundation
public import Testing

/// A real libvirtd of the test's own, with all its files in one directory.
///
/// It is a session daemon: it needs no users, groups or folders of the system. Root's libvirtd would be
/// the system's, so it runs in a user namespace in which it isn't root, while for the files and devices
/// of the machine it is who the test is. It has a process namespace too: its guests end with it, however
/// that comes, and a shell waits for those that ended, for libvirt counts a guest as running until then.
///
/// A suite with the trait `.libvirt` has one in `PeersLibvirt.current`. One test at a time may use it.
public final class PeersLibvirt: @unchecked Sendable {
    /// The daemon of the running suite.
    @TaskLocal public static var current: PeersLibvirt?

    /// What `<domain type=` says: "kvm", or "qemu" where the daemon can't open KVM's device.
    public private(set) var domainType = "qemu"
    private let directory: PeersDirectory
    private let process: PeersProcess
    private let virsh: String
    private let uri: String

    /// Where guests that libvirt starts have their memory.
    var memoryFolder: String { directory.file("c/libvirt/qemu/ram") }

    /// Starts the daemon and waits until it answers.
    public init() throws {
        guard let daemon = Peers.libvirtd, let virsh = Peers.virsh else {
            throw PeerFailure("libvirt isn't on this machine")
        }
        self.virsh = virsh
        let directory = try PeersDirectory()
        self.directory = directory
        // Short names: sockets lie far below, and their paths are limited.
        let variables = [
            ("HOME", "h"), ("XDG_RUNTIME_DIR", "r"), ("XDG_CONFIG_HOME", "c"),
            ("XDG_CACHE_HOME", "a"), ("XDG_DATA_HOME", "d"),
        ].map { ($0, directory.file($1)) }
        for (_, folder) in variables {
            try FileManager.default.createDirectory(
                atPath: folder + "/libvirt",
                withIntermediateDirectories: true
            )
        }
        // Without this it would start virtlogd for what QEMU prints.
        try Data("stdio_handler = \"file\"\n".utf8).write(
            to: URL(fileURLWithPath: directory.file("c/libvirt/qemu.conf"))
        )
        process = try PeersProcess(
            ["env", "LC_ALL=C"] + variables.map { "\($0)=\($1)" } + [
                "unshare", "--user", "--map-user=1000", "--map-group=1000", "--mount", "--pid",
                "--fork", "--mount-proc", "--kill-child=SIGKILL", "/bin/sh", "-c",
                "'\(daemon)' & wait",
            ],
            in: directory
        )
        let socket = directory.file("r/libvirt/libvirt-sock")
        uri = "qemu+unix:///session?socket=\(socket)"
        let deadline = ContinuousClock.now + .seconds(60)
        while !FileManager.default.fileExists(atPath: socket) {
            guard process.isRunning, ContinuousClock.now < deadline else {
                throw PeerFailure("libvirtd did not start: \(process.errorOutput)")
            }
            usleep(2000)
        }
        // QEMU beside libvirt chooses alike: KVM where it can be had.
        do {
            try run(["domcapabilities", "--virttype", "kvm"])
            domainType = "kvm"
        } catch let failure as PeerFailure
            where failure.description.contains("accel 'kvm' is not supported")
        {}
    }

    /// Where libvirt keeps the managed save of a domain.
    public func managedSavePath(ofDomain name: String) -> String {
        directory.file("c/libvirt/qemu/save/\(name).save")
    }

    /// Ends the daemon and every guest that it still has.
    public func stop() {
        process.kill()
    }

    /// Runs a command of virsh.
    ///
    /// - Returns: What it printed.
    /// - Throws: `PeerFailure` with libvirt's words if it fails.
    @discardableResult
    public func run(_ arguments: [String]) throws -> String {
        let command = try PeersProcess(
            ["env", "LC_ALL=C", virsh, "-q", "-c", uri] + arguments,
            in: directory
        )
        guard try command.waitForExit() == 0 else {
            let words = command.errorOutput + (process.isRunning ? "" : process.errorOutput)
            throw PeerFailure("virsh \(arguments.joined(separator: " ")): \(words)")
        }
        return command.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Runs a command of virsh that libvirt has to refuse.
    ///
    /// - Returns: What it said; nil if it did not refuse.
    public func refusal(of arguments: [String]) -> String? {
        do {
            try run(arguments)
            return nil
        } catch {
            return "\(error)"
        }
    }
}

/// Gives a suite a libvirtd, from before its first test until after its last.
public struct PeersLibvirtTrait: SuiteTrait, TestScoping {
    /// Runs the suite's tests while the daemon runs.
    public func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let libvirt = try PeersLibvirt()
        defer { libvirt.stop() }
        try await PeersLibvirt.$current.withValue(libvirt) { try await function() }
    }
}

extension Trait where Self == PeersLibvirtTrait {
    /// The suite's tests talk to a libvirtd that runs while they do.
    public static var libvirt: Self { Self() }
}
