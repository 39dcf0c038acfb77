import Foundation
import Glibc

/// A file system whose files can share blocks, in a file of its own and mounted on a folder.
///
/// It goes with the object.
public final class ReflinkFileSystem {
    /// The kinds that Linux has.
    public enum Kind: String, CaseIterable, Sendable {
        case xfs
        case btrfs

        fileprivate var makingArguments: [String] {
            switch self {
            case .xfs: ["mkfs.xfs", "-q", "-m", "reflink=1"]
            case .btrfs: ["mkfs.btrfs", "-q"]
            }
        }
    }

    /// Where it is mounted.
    public let folder: String
    private let container: String

    /// Makes and mounts one; nil after a message where this process can't.
    ///
    /// - Throws: `PeerFailure` instead, if all peers are required.
    public static func make(_ kind: Kind, in directory: PeersDirectory) throws -> ReflinkFileSystem?
    {
        do {
            return try ReflinkFileSystem(kind, in: directory)
        } catch let failure as PeerFailure {
            if Peers.environment("BERTH_REQUIRE_PEERS") == "1" { throw failure }
            print("skipped: \(failure)")
            return nil
        }
    }

    private init(_ kind: Kind, in directory: PeersDirectory) throws {
        container = directory.file("\(kind.rawValue).volume")
        folder = directory.file(kind.rawValue)
        let file = open(container, O_RDWR | O_CREAT, 0o600)
        // Less is refused by mkfs.xfs; it takes no space.
        guard file >= 0, ftruncate(file, 512 << 20) == 0, mkdir(folder, 0o700) == 0 else {
            throw PeerFailure("cannot make '\(container)': errno \(errno)")
        }
        close(file)
        try Self.run(kind.makingArguments + [container])
        try Self.run(["mount", "-o", "loop", container, folder])
    }

    deinit {
        umount2(folder, CInt(MNT_DETACH))
        rmdir(folder)
        unlink(container)
    }

    /// Bytes that no file takes.
    public var freeByteCount: UInt64 {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { return 0 }
        return UInt64(status.f_bfree) * UInt64(status.f_frsize)
    }

    private static func run(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        var environment = ProcessInfo.processInfo.environment
        environment["PATH"] = (environment["PATH"] ?? "") + ":/usr/sbin:/sbin"
        process.environment = environment
        let output = Pipe()
        process.standardError = output
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let text = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(),
            as: UTF8.self
        )
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw PeerFailure(
                "'\(arguments.joined(separator: " "))' failed, which needs root, xfsprogs and "
                    + "btrfs-progs: \(text)"
            )
        }
    }
}
