import Foundation
public import Testing

/// The debugger that opens cores of guests.
public struct PeersGDB {
    /// Where it is.
    public static let program = Peers.environment("BERTH_GDB") ?? inPath("gdb")

    private let core: String
    private let directory: PeersDirectory

    /// Looks into a core.
    public init(core: String, in directory: PeersDirectory) {
        self.core = core
        self.directory = directory
    }

    /// Runs commands and gives what they print.
    ///
    /// - Throws: If the debugger ends with an error, or says that it doesn't understand the file.
    public func run(_ commands: [String]) throws -> String {
        guard let program = Self.program else { throw PeerFailure("gdb isn't on this machine") }
        let arguments = [program, "-batch", "-nx", "-c", core] + commands.flatMap { ["-ex", $0] }
        let process = try PeersProcess(arguments, in: directory)
        guard try process.waitForExit() == 0, !process.output.contains("not a core dump") else {
            throw PeerFailure("gdb: \(process.output)\(process.errorOutput)")
        }
        return process.output
    }

    /// The 64-bit words at some addresses.
    public func words(at addresses: [UInt64]) throws -> [UInt64: UInt64] {
        let output = try run(addresses.map { "x/1xg \($0)" })
        var words: [UInt64: UInt64] = [:]
        for line in output.split(separator: "\n") {
            let parts = line.split { $0 == ":" || $0 == "\t" }.map(Self.number)
            if parts.count == 2, let address = parts[0], let word = parts[1] {
                words[address] = word
            }
        }
        return words
    }

    /// One register of every thread, in the order of their numbers.
    public func register(_ name: String) throws -> [UInt64] {
        try run(["thread apply all -ascending -q p/x $\(name)"])
            .split(separator: "\n").filter { $0.hasPrefix("$") }
            .compactMap { $0.split(separator: " ").last.flatMap(Self.number) }
    }

    private static func number(_ text: Substring) -> UInt64? {
        text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : nil
    }

    private static func inPath(_ name: String) -> String? {
        (Peers.environment("PATH") ?? "").split(separator: ":").map { "\($0)/\(name)" }
            .first { access($0, X_OK) == 0 }
    }
}

extension Trait where Self == ConditionTrait {
    /// The test opens a core in gdb.
    public static var requiresGDB: Self {
        .enabled(
            if: PeersGDB.program != nil,
            "needs gdb in PATH or in BERTH_GDB; 'make test' installs Debian's"
        )
    }
}
