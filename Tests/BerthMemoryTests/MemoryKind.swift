import BerthMemory
import BerthSystem
import BerthTestSupport
import Glibc
import Testing

/// The kinds of memory that writes can be found in, and held back.
enum MemoryKind: String, CaseIterable, CustomTestStringConvertible {
    case anonymousSmallPages, anonymousHugePages
    case memfd, privateMemfd
    case tmpfsFile, privateTmpfsFile
    case hugetlb, privateHugetlb

    var testDescription: String { rawValue }

    /// A block of this kind, all zero, or nil after a message that says why there is none.
    func makeBlock(byteCount: Int) throws -> TestBlock? {
        switch self {
        case .anonymousSmallPages:
            let mapping = try MemoryMapping.anonymous(
                byteCount: byteCount,
                options: MemoryMapping.Options(hugePages: false)
            )
            return TestBlock(
                RAMBlock(id: "ram", byteCount: byteCount, mapping: mapping, isZeroed: true)
            )
        case .anonymousHugePages:
            return TestBlock(try RAMBlock(id: "ram", byteCount: byteCount))
        case .memfd, .privateMemfd:
            return TestBlock(try block(.memfd, byteCount, isShared: self == .memfd))
        case .tmpfsFile, .privateTmpfsFile:
            let path = "/dev/shm/berth-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
            let kind = MemoryBackend.Kind.file(path: path, offset: 0, readOnly: false)
            let block = try block(kind, byteCount, isShared: self == .tmpfsFile)
            return TestBlock(block, path: path)
        case .hugetlb, .privateHugetlb:
            guard let pool = HugePagePool(byteCount: byteCount) else { return nil }
            let kind = MemoryBackend.Kind.hugetlb(pageByteCount: nil)
            let block = try block(kind, byteCount, isShared: self == .hugetlb)
            return TestBlock(block, pool: pool)
        }
    }

    private func block(
        _ kind: MemoryBackend.Kind,
        _ byteCount: Int,
        isShared: Bool
    ) throws -> RAMBlock {
        try RAMBlock(
            MemoryBackend(
                id: "ram",
                kind: kind,
                byteCount: UInt64(byteCount),
                isShared: isShared
            )
        )
    }
}

/// A block, and what has to be cleaned up after it.
final class TestBlock {
    let block: RAMBlock
    let path: String?
    private let pool: HugePagePool?

    init(_ block: RAMBlock, path: String? = nil, pool: HugePagePool? = nil) {
        self.block = block
        self.path = path
        self.pool = pool
    }

    deinit {
        if let path { unlink(path) }
    }
}

/// Huge pages that are set aside as long as this lives.
final class HugePagePool {
    private static let path = "/proc/sys/vm/nr_hugepages"
    private let previous: Int

    /// Has enough pages set aside; nil if this process may not or the host has none to spare.
    init?(byteCount: Int) {
        guard let previous = Self.read() else {
            print("skipped: this kernel has no huge pages (\(Self.path))")
            return nil
        }
        self.previous = previous
        let wanted = previous + byteCount / MemoryMapping.hugePageByteCount
        guard Self.write(wanted), Self.read() == wanted else {
            _ = Self.write(previous)
            print("skipped: cannot have \(wanted) huge pages: needs root to write \(Self.path)")
            return nil
        }
    }

    deinit {
        _ = Self.write(previous)
    }

    private static func read() -> Int? {
        guard let file = try? OwnedDescriptor.open(path, O_RDONLY) else { return nil }
        var text = [UInt8](repeating: 0, count: 32)
        let count = Glibc.read(file.raw, &text, text.count)
        let digits = text.prefix(max(count, 0)).prefix { $0 != UInt8(ascii: "\n") }
        return Int(String(decoding: digits, as: UTF8.self))
    }

    private static func write(_ count: Int) -> Bool {
        guard let file = try? OwnedDescriptor.open(path, O_WRONLY) else { return false }
        let text = Array("\(count)\n".utf8)
        return Glibc.write(file.raw, text, text.count) == text.count
    }
}
