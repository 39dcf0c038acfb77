import Glibc

/// A file as a block device, until the object goes.
public final class LoopDevice {
    /// Whether such devices can be made here: root, a free device and losetup are needed.
    public static var isAvailable: Bool {
        geteuid() == 0 && access("/dev/loop-control", R_OK) == 0
            && access("/sbin/losetup", X_OK) == 0
    }

    /// The device's name under `/dev`.
    public let path: String

    /// Makes a device of an existing file.
    public init(_ file: String) throws {
        path = try Self.losetup("--find --show \(file)")
    }

    /// Makes a device of a new file.
    public convenience init(creating file: String, byteCount: Int) throws {
        let raw = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard raw >= 0, ftruncate(raw, off_t(byteCount)) == 0, close(raw) == 0 else {
            throw PeerFailure("cannot make '\(file)': errno \(errno)")
        }
        try self.init(file)
    }

    deinit { _ = try? Self.losetup("--detach \(path)") }

    private static func losetup(_ arguments: String) throws -> String {
        guard let output = popen("/sbin/losetup \(arguments)", "re") else {
            throw PeerFailure("cannot run losetup: errno \(errno)")
        }
        var line = [CChar](repeating: 0, count: 256)
        let hasLine = fgets(&line, CInt(line.count), output) != nil
        guard pclose(output) == 0 else { throw PeerFailure("losetup \(arguments) failed") }
        guard hasLine else { return "" }
        let bytes = line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
