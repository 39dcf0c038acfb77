import BerthSystem
import Glibc
import Synchronization

/// A fresh directory for one test's files and sockets, removed with everything in it in the end.
final class TestDirectory {
    let path: String

    init() throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/berth-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw SystemCall.failure("mkdtemp", base, Glibc.errno)
        }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit {
        guard let directory = opendir(path) else { return }
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { unlink(file(name)) }
        }
        closedir(directory)
        rmdir(path)
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }
}

/// Runs a blocking call in a thread of its own and can tell when that thread sleeps in the kernel.
///
/// This is how a test knows, without waiting for some time to pass, that a call really blocks
/// before it does what should end it.
final class BlockedCall<Value: Sendable>: Sendable {
    private let thread: NamedThread
    private let result = Arc<Mutex<Result<Value, any Error>?>>(Mutex(nil))

    init(_ body: @escaping @Sendable () throws -> Value) throws {
        let place = Arc(Mutex<String?>(nil))
        let result = result
        thread = try NamedThread.start(name: "test-blocked") {
            var buffer = [CChar](repeating: 0, count: 64)
            let count = readlink("/proc/thread-self", &buffer, 63)
            let text = String(
                decoding: buffer.prefix(max(count, 0)).map(UInt8.init(bitPattern:)),
                as: UTF8.self
            )
            place.value.withLock { $0 = "/proc/\(text)/stat" }
            let outcome = Result { try body() }
            result.value.withLock { $0 = outcome }
        }
        while true {
            let path = place.value.withLock { $0 }
            if result.value.withLock({ $0 != nil }) { break }
            if let path, Self.isAsleep(path) { break }
            sched_yield()
        }
    }

    /// Waits for the call's end.
    func finish() throws -> Value {
        thread.join()
        guard let outcome = result.value.withLock({ $0 }) else { throw ThreadLost() }
        return try outcome.get()
    }

    private static func isAsleep(_ path: String) -> Bool {
        guard let text = try? contents(of: path), let end = text.lastIndex(of: ")") else {
            return false
        }
        return text[end...].dropFirst(2).first == "S"
    }
}

struct ThreadLost: Error {}

/// A box, for values that have an identity and are captured by several closures.
final class Arc<Value: ~Copyable & Sendable>: Sendable {
    let value: Value

    init(_ value: consuming Value) { self.value = value }
}

/// The first 64 KiB of a file.
func contents(of path: String) throws -> String {
    let file = try OwnedDescriptor.open(path, O_RDONLY)
    return try String(decoding: readAll(file.raw), as: UTF8.self)
}

/// Everything up to the end of a blocking descriptor.
func readAll(_ raw: CInt) throws -> [UInt8] {
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = try SystemCall.check("read", "fd \(raw)") { read(raw, &buffer, buffer.count) }
        if count == 0 { return all }
        all += buffer.prefix(count)
    }
}

/// Writes all bytes to a blocking descriptor.
func writeAll(_ raw: CInt, _ bytes: [UInt8]) throws {
    var done = 0
    while done < bytes.count {
        done += try SystemCall.check("write", "fd \(raw)") {
            bytes[done...].withUnsafeBytes { write(raw, $0.baseAddress, $0.count) }
        }
    }
}

/// The descriptor that must be there (`#require` cannot hold a value that isn't copyable).
func present(_ descriptor: consuming OwnedDescriptor?) throws -> OwnedDescriptor {
    guard let descriptor else { throw DescriptorMissing() }
    return descriptor
}

struct DescriptorMissing: Error {}
