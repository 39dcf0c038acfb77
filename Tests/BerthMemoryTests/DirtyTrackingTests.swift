import BerthMemory
import BerthSystem
import BerthTestSupport
import Glibc
import Testing

/// Writes are found by every mechanism in every kind of memory.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct DirtyTrackingTests {
    /// Pages that are written: the first, the last, neighbours, and one alone.
    private static let written = [0, 5, 6, 7, 600, 1023, 1024, 2047]

    @Test(arguments: MemoryKind.allCases, [DirtyTrackingMode.software, .kernel])
    func `written pages are found, others are not`(
        _ kind: MemoryKind,
        _ mode: DirtyTrackingMode
    ) throws {
        guard let memory = try kind.makeBlock(byteCount: 8 << 20) else { return }
        let block = memory.block
        block.fill { $0 % 2 == 0 }
        try block.tracking.choose(mode)
        #expect(block.tracking.mechanisms == [mode == .kernel ? .kernel : .software])
        let client = try block.tracking.begin()
        var bitmap = PageBitmap(pageCount: block.pageCount)
        #expect(try client.collect(into: &bitmap) == 0, "nothing was written yet")

        for page in Self.written { write(block, page) }
        let found = try client.collect(into: &bitmap)
        #expect(found == bitmap.count)
        let isHuge = mode == .kernel && block.mapping.isHugetlb
        // Of untouched memory that may get huge pages, the first write brings a whole one.
        let isHugeAtFirst = mode == .kernel && kind == .anonymousHugePages
        let unit = isHuge || isHugeAtFirst ? MemoryMapping.hugePageByteCount / 4096 : 1
        let units = Set(Self.written.map { $0 / unit })
        for page in 0..<block.pageCount {
            if Self.written.contains(page) { #expect(bitmap[page], "page \(page)") }
            if !units.contains(page / unit) { #expect(!bitmap[page], "page \(page)") }
        }
        #expect(try client.collect(into: &bitmap) == 0, "told once")

        var again = PageBitmap(pageCount: block.pageCount)
        write(block, 6)
        _ = try client.collect(into: &again)
        #expect(again[6] && again.count == (isHuge ? unit : 1))
        client.end()
        #expect(!block.tracking.isActive)
    }

    @Test(arguments: MemoryKind.allCases, [DirtyTrackingMode.software, .kernel])
    func `a copy kept up to date by what is found ends equal to memory`(
        _ kind: MemoryKind,
        _ mode: DirtyTrackingMode
    ) throws {
        guard let memory = try kind.makeBlock(byteCount: 4 << 20) else { return }
        let block = memory.block
        try block.tracking.choose(mode)
        let hammer = try Hammer(block)
        defer { hammer.end() }
        let client = try block.tracking.begin()
        var copy = block.copy
        func update() throws {
            var bitmap = PageBitmap(pageCount: block.pageCount)
            _ = try client.collect(into: &bitmap)
            for page in 0..<block.pageCount where bitmap[page] {
                let start = page * targetPageByteCount
                let page = UnsafeRawBufferPointer(
                    start: block.base + start,
                    count: targetPageByteCount
                )
                copy.withUnsafeMutableBytes { copy in
                    let place = copy[start..<start + page.count]
                    UnsafeMutableRawBufferPointer(rebasing: place).copyMemory(from: page)
                }
            }
        }
        let target = hammer.writes + 20_000
        while hammer.writes < target { try update() }
        hammer.end()
        try update()
        #expect(copy == block.copy)
    }

    @Test(arguments: [true, false])
    func `the kernel finds writes to files on disk`(_ isShared: Bool) throws {
        let directory = try PeersDirectory()
        let block = try RAMBlock(
            MemoryBackend(
                id: "ram",
                kind: .file(path: directory.file("memory"), offset: 0, readOnly: false),
                byteCount: 1 << 20,
                isShared: isShared
            )
        )
        block.fill()
        try block.tracking.choose(.kernel)
        let client = try block.tracking.begin()
        block.base.storeBytes(of: 7, toByteOffset: 9 * targetPageByteCount, as: UInt8.self)
        var bitmap = PageBitmap(pageCount: block.pageCount)
        #expect(try client.collect(into: &bitmap) == 1 && bitmap[9])
    }

    @Test func `the kernel finds what nobody marks, and what a system call writes`() throws {
        let block = try RAMBlock(id: "ram", byteCount: 1 << 20)
        block.fill()
        try block.tracking.choose(.kernel)
        let client = try block.tracking.begin()
        block.base.storeBytes(of: 7, toByteOffset: 9 * targetPageByteCount, as: UInt8.self)
        let zeros = try OwnedDescriptor.open("/dev/zero", O_RDONLY)
        #expect(read(zeros.raw, block.base + 20 * targetPageByteCount, 4096) == 4096)
        var bitmap = PageBitmap(pageCount: block.pageCount)
        #expect(try client.collect(into: &bitmap) == 2 && bitmap[9] && bitmap[20])
    }

    private func write(_ block: RAMBlock, _ page: Int) {
        block.base.storeBytes(of: 0x5a, toByteOffset: page * targetPageByteCount, as: UInt8.self)
        block.dirtyLog.mark(page: page)
    }
}
