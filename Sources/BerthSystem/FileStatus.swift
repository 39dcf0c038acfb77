internal import CBerthLinux
internal import Glibc

/// What an open file or a path is: its kind, size and identity.
public struct FileStatus: Sendable, Equatable {
    /// The kind of object behind a descriptor.
    public enum Kind: String, Sendable {
        case regularFile = "regular file"
        case blockDevice = "block device"
        case characterDevice = "character device"
        case fifo = "pipe"
        case socket = "socket"
        case directory = "directory"
        case other = "special file"
    }

    /// The kind of object.
    public let kind: Kind
    /// Bytes in a regular file or on a block device; 0 for all else.
    public let byteCount: UInt64
    /// Bytes that the file takes of its file system: less than its size where it has holes.
    public let allocatedByteCount: UInt64
    /// Number of the device that holds the file; with `inode` its identity.
    public let device: UInt64
    /// Number of the file on its device.
    public let inode: UInt64

    /// Whether any byte can be reached at any time: regular files and block devices.
    public var isSeekable: Bool { kind == .regularFile || kind == .blockDevice }

    /// Asks about an open file.
    ///
    /// - Parameter raw: its descriptor, which may be one opened with `O_PATH`.
    /// - Throws: `SystemCallError` for `fstat`.
    public init(of raw: CInt) throws(SystemCallError) {
        var buffer = stat()
        try SystemCall.check("fstat", "fd \(raw)") { unsafe fstat(raw, &buffer) }
        var byteCount = UInt64(clamping: buffer.st_size)
        if buffer.st_mode & S_IFMT == S_IFBLK {
            // stat says 0 for a device. An O_PATH descriptor can't be asked: 0 then stays.
            var deviceBytes: UInt64 = 0
            if unsafe berth_block_device_size(raw, &deviceBytes) == 0 { byteCount = deviceBytes }
        }
        self.init(buffer, byteCount: byteCount)
    }

    /// Asks about a path, following symbolic links; the file isn't opened.
    ///
    /// A block device's size is 0 here, as stat(2) gives it.
    ///
    /// - Throws: `SystemCallError` for `stat`, with the path as operand.
    public init(path: String) throws(SystemCallError) {
        var buffer = stat()
        try SystemCall.check("stat", path) { unsafe stat(path, &buffer) }
        self.init(buffer, byteCount: UInt64(clamping: buffer.st_size))
    }

    private init(_ buffer: stat, byteCount: UInt64) {
        let kinds: [mode_t: Kind] = [
            S_IFREG: .regularFile, S_IFBLK: .blockDevice, S_IFCHR: .characterDevice,
            S_IFIFO: .fifo, S_IFSOCK: .socket, S_IFDIR: .directory,
        ]
        kind = kinds[buffer.st_mode & S_IFMT] ?? .other
        self.byteCount = kind == .regularFile || kind == .blockDevice ? byteCount : 0
        allocatedByteCount =
            UInt64(clamping: buffer.st_blocks).multipliedReportingOverflow(by: 512)
            .partialValue
        device = UInt64(buffer.st_dev)
        inode = UInt64(buffer.st_ino)
    }
}
