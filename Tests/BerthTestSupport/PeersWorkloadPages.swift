import Glibc

/// What the pages of a workload prove, found without Berth's help in a dump of the memory.
///
/// The first word of a page is its stamp: how often it was written in the upper half, its number in
/// the block in the lower one. Pattern `increment` has the stamp at the start of each line of 64
/// bytes and zeros elsewhere; the others fill the page with words that follow from the stamp. In
/// patterns that go by order, a thread's pages before its position have been written once more
/// than those from there on.
public struct PeerWorkloadPages {
    /// What is wrong, in words, at most eight; empty if every page is as it should be.
    public private(set) var findings: [String] = []
    /// The sum of all counts.
    public private(set) var writes: Int64 = 0
    /// Pages that aren't zero.
    public private(set) var writtenPageCount = 0

    private static let pageByteCount = 4096
    private static let wordCount = 512

    /// Checks a dump of a memory that nobody but the workload writes.
    public init(inDump path: String, of workload: PeerWorkload) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw PeerFailure("cannot open '\(path)': errno \(errno)") }
        defer { close(descriptor) }
        var information = stat()
        fstat(descriptor, &information)
        let byteCount = Int(information.st_size)
        guard byteCount > 0, byteCount.isMultiple(of: Self.pageByteCount),
            let mapping = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0),
            mapping != MAP_FAILED
        else { throw PeerFailure("'\(path)' with its \(byteCount) bytes is no dump of a memory") }
        defer { munmap(mapping, byteCount) }
        check(UnsafeRawPointer(mapping), byteCount, workload)
    }

    /// Checks a memory that lies in the test itself.
    public init(in memory: UnsafeRawBufferPointer, of workload: PeerWorkload) {
        guard let base = memory.baseAddress else { return }
        check(base, memory.count, workload)
    }

    private mutating func check(
        _ base: UnsafeRawPointer,
        _ byteCount: Int,
        _ workload: PeerWorkload
    ) {
        let first = workload.start / Self.pageByteCount
        let count = workload.byteCount / Self.pageByteCount
        let outside = [0..<first, (first + count)..<(byteCount / Self.pageByteCount)]
        for page in outside.joined() where !Self.isZero(base + page * Self.pageByteCount) {
            report("page \(page) isn't zero, and no page of the workload")
        }
        for thread in 0..<workload.threadCount {
            let begin = first + count * thread / workload.threadCount
            let end = first + count * (thread + 1) / workload.threadCount
            check(base, pages: begin..<end, workload.pattern)
        }
    }

    private mutating func check(
        _ base: UnsafeRawPointer,
        pages: Range<Int>,
        _ pattern: PeerWorkload.Pattern
    ) {
        var counts: [UInt32] = []
        counts.reserveCapacity(pages.count)
        for page in pages {
            let bytes = base + page * Self.pageByteCount
            let stamp = bytes.load(as: UInt64.self)
            counts.append(UInt32(stamp >> 32))
            writes += Int64(stamp >> 32)
            if stamp == 0 {
                if !Self.isZero(bytes) { report("page \(page) has no stamp, but isn't zero") }
                continue
            }
            writtenPageCount += 1
            if UInt32(truncatingIfNeeded: stamp) != UInt32(page) {
                report("page \(page) has the stamp of page \(UInt32(truncatingIfNeeded: stamp))")
            }
            let isWhole =
                pattern == .increment
                ? Self.isLined(bytes, with: stamp) : Self.isFilled(bytes, with: stamp)
            if !isWhole { report("page \(page) isn't what was written the \(stamp >> 32)th time") }
        }
        if pattern.isInOrder { checkOrder(counts, first: pages.lowerBound) }
    }

    /// Expects one step down, by one, or none.
    private mutating func checkOrder(_ counts: [UInt32], first: Int) {
        guard let upper = counts.first else { return }
        let step = counts.firstIndex { $0 != upper } ?? counts.count
        for index in step..<counts.count where counts[index] &+ 1 != upper {
            report(
                "page \(first + index) was written \(counts[index]) times, page \(first) \(upper) "
                    + "times, and the writer is at page \(first + step)"
            )
        }
    }

    private mutating func report(_ finding: String) {
        if findings.count < 8 { findings.append(finding) }
    }

    private static func isZero(_ page: UnsafeRawPointer) -> Bool {
        page.load(as: UInt64.self) == 0 && memcmp(page, page + 8, pageByteCount - 8) == 0
    }

    private static func isLined(_ page: UnsafeRawPointer, with stamp: UInt64) -> Bool {
        for word in 1..<8 where page.load(fromByteOffset: 8 * word, as: UInt64.self) != 0 {
            return false
        }
        // Each line is as the one before it.
        return memcmp(page, page + 64, pageByteCount - 64) == 0
    }

    private static func isFilled(_ page: UnsafeRawPointer, with stamp: UInt64) -> Bool {
        var state = stamp &* 0xbf58_476d_1ce4_e5b9
        for word in 1..<wordCount {
            state &+= 0x9e37_79b9_7f4a_7c15
            let expected = (state ^ (state >> 32)) &* 0x94d0_49bb_1331_11eb
            guard page.load(fromByteOffset: 8 * word, as: UInt64.self) == expected else {
                return false
            }
        }
        return true
    }
}
