internal import CBerthLinux
internal import Glibc

/// What a program writes to its standard error, kept instead of shown.
///
/// A file in memory: a program never has to wait for somebody to read. Text past the limit is lost,
/// which the program sees as a failed write.
public final class ProgramMessages: Sendable {
    /// Bytes that are kept, 64 KiB: real programs say a line or ten.
    static let byteLimit = 64 << 10

    private let file: OwnedDescriptor

    /// Makes an empty file.
    ///
    /// - Throws: `SystemCallError`.
    public init() throws(SystemCallError) {
        let raw = try SystemCall.check("memfd_create", "messages") {
            unsafe berth_fixed_memfd("berth-messages", Self.byteLimit)
        }
        file = OwnedDescriptor(raw)
    }

    /// The descriptor for the program's standard error.
    public var raw: CInt { file.raw }

    /// What was written so far.
    public var text: String {
        // The program writes at the offset that it shares with this descriptor.
        let count = min(max(0, lseek(file.raw, 0, SEEK_CUR)), Self.byteLimit)
        var bytes = [UInt8](repeating: 0, count: count)
        let got = unsafe pread(file.raw, &bytes, count, 0)
        return String(decoding: bytes.prefix(max(0, got)), as: UTF8.self)
    }
}
