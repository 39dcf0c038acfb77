import BerthSystem
import Glibc

/// What a process has mapped where.
///
/// Based on `/proc/PID/maps`, opened once: it then stays bound to the memory that the process had,
/// whatever becomes of the process or its number.
final class ProcessMappings: Sendable {
    /// A part of a file, mapped without a gap.
    struct FileRange: Equatable {
        /// The file's device and inode, as the kernel prints them.
        let file: String
        /// Where the part begins in the file.
        let offset: UInt64
        /// Whether writes reach the file.
        let isShared: Bool
    }

    /// What lies at a range of addresses.
    enum Finding: Equatable {
        /// A part of one file covers all of it.
        case file(FileRange)
        /// Nothing, or several things.
        case somethingElse
        /// The process has no memory any more: it has ended, or runs another program.
        case processGone
    }

    private struct Entry {
        let start: UInt64
        let end: UInt64
        let range: FileRange
    }

    private let descriptor: OwnedDescriptor
    private let name: String

    /// Opens the list of a process.
    ///
    /// - Parameter process: nil is this one; another needs the right to trace it (ptrace(2)).
    /// - Throws: `SystemCallError` for `open` with the path.
    init(process: Int32? = nil) throws(SystemCallError) {
        name = "/proc/\(process.map(String.init) ?? "self")/maps"
        descriptor = try OwnedDescriptor.open(name, O_RDONLY)
    }

    /// Looks what lies at addresses now.
    ///
    /// - Throws: `SystemCallError` for `read`.
    func find(from address: UInt64, byteCount: Int) throws(SystemCallError) -> Finding {
        let (end, overflow) = address.addingReportingOverflow(UInt64(clamping: byteCount))
        guard !overflow, byteCount > 0 else { return .somethingElse }
        var found: FileRange?
        var position = address
        var isEmpty = true
        try forEachEntry { entry in
            isEmpty = false
            guard entry.end > position else { return .goOn }
            guard entry.start <= position else { return .stop }
            let offset = entry.range.offset &+ (position - entry.start)
            let here = FileRange(
                file: entry.range.file,
                offset: offset &- (position - address),
                isShared: entry.range.isShared
            )
            guard found == nil || found == here else { return .stop }
            found = here
            position = entry.end
            return position >= end ? .stop : .goOn
        }
        if isEmpty { return .processGone }
        guard let found, position >= end else { return .somethingElse }
        return .file(found)
    }

    private enum Progress { case goOn, stop }

    private func forEachEntry(_ visit: (Entry) -> Progress) throws(SystemCallError) {
        var buffer = [UInt8](repeating: 0, count: 16384)
        var rest: [UInt8] = []
        var position: off_t = 0
        while true {
            let (count, code) = SystemCall.uninterrupted {
                unsafe pread(descriptor.raw, &buffer, buffer.count, position)
            }
            if count == -1 {
                // The kernel says either this or that there is nothing to read.
                if code == ESRCH { return }
                throw SystemCall.failure("read", name, code)
            }
            if count == 0 { return }
            position += off_t(count)
            rest += buffer.prefix(count)
            var lineStart = 0
            while let lineEnd = rest[lineStart...].firstIndex(of: UInt8(ascii: "\n")) {
                let entry = Self.entry(String(decoding: rest[lineStart..<lineEnd], as: UTF8.self))
                if let entry, visit(entry) == .stop { return }
                lineStart = lineEnd + 1
            }
            rest.removeSubrange(..<lineStart)
        }
    }

    /// Reads a line: `start-end permissions offset device inode path`.
    private static func entry(_ line: String) -> Entry? {
        let fields = line.split(separator: " ", maxSplits: 5)
        guard fields.count >= 5 else { return nil }
        let addresses = fields[0].split(separator: "-")
        guard addresses.count == 2, let start = UInt64(addresses[0], radix: 16),
            let end = UInt64(addresses[1], radix: 16), let offset = UInt64(fields[2], radix: 16)
        else { return nil }
        let range = FileRange(
            file: "\(fields[3]) \(fields[4])",
            offset: offset,
            isShared: fields[1].hasSuffix("s")
        )
        return Entry(start: start, end: end, range: range)
    }
}
