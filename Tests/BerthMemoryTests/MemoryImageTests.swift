import BerthMemory
import BerthSystem
import BerthTestSupport
import Glibc
import Testing

/// Blocks whose memory is an image that nobody has read.
@Suite struct MemoryImageTests {
    private static let page = targetPageByteCount
    private static let pageCount = 64
    private let directory: PeersDirectory
    private let path: String

    init() throws {
        directory = try PeersDirectory()
        path = directory.file("image")
    }

    /// Writes a file of 64 pages from page 4 on, of which some have content, each its number.
    private func makeImage(_ filled: [Range<Int>]) throws {
        let file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT | O_TRUNC, mode: 0o600)
        for page in filled.joined() {
            let bytes = [UInt8](repeating: UInt8(page + 1), count: Self.page)
            #expect(
                pwrite(file.raw, bytes, bytes.count, off_t((4 + page) * Self.page)) == Self.page
            )
        }
        #expect(ftruncate(file.raw, off_t((4 + Self.pageCount) * Self.page)) == 0)
    }

    private func bitmap(_ filled: [Range<Int>]) -> PageBitmap {
        var bitmap = PageBitmap(pageCount: Self.pageCount)
        for pages in filled { bitmap.set(pages, to: true) }
        return bitmap
    }

    private func open(gapLimit: Int = MemoryImage.gapLimit) throws -> MemoryImage {
        try MemoryImage(OwnedDescriptor.open(path, O_RDONLY), name: "image", gapLimit: gapLimit)
    }

    private func makeBlock() throws -> RAMBlock {
        try RAMBlock(id: "ram", byteCount: Self.pageCount * Self.page)
    }

    private var start: UInt64 { UInt64(4 * Self.page) }

    /// The first byte of each page.
    private func content(_ block: RAMBlock) -> [UInt8] {
        (0..<block.pageCount).map {
            block.base.load(fromByteOffset: $0 * Self.page, as: UInt8.self)
        }
    }

    private func expected(_ filled: [Range<Int>]) -> [UInt8] {
        let bitmap = bitmap(filled)
        return (0..<Self.pageCount).map { bitmap[$0] ? UInt8($0 + 1) : 0 }
    }

    @Test func `memory is what the image has, and the image stays as it is`() throws {
        let filled = [1..<3, 10..<11, 40..<64]
        try makeImage(filled)
        let block = try makeBlock()
        let image = try open()
        try block.lie(on: image, from: start, present: bitmap(filled))
        #expect(block.liesOnImage)
        #expect(content(block) == expected(filled))
        for page in 0..<Self.pageCount {
            block.base.storeBytes(of: 0xee, toByteOffset: page * Self.page, as: UInt8.self)
        }
        let other = try makeBlock()
        try other.lie(on: image, from: start, present: bitmap(filled))
        #expect(content(other) == expected(filled))
    }

    @Test func `old content in gaps reads as zeros`() throws {
        try makeImage([0..<Self.pageCount])
        for filled in [[0..<1], [5..<6, 7..<9, 63..<64], [], [0..<64]] {
            let block = try makeBlock()
            try block.lie(on: open(), from: start, present: bitmap(filled))
            #expect(content(block) == expected(filled), "\(filled)")
        }
    }

    @Test func `too many gaps with old content are refused, and the memory is zero`() throws {
        try makeImage([0..<Self.pageCount])
        let filled = [1..<2, 3..<4, 5..<6]
        let block = try makeBlock()
        #expect(throws: ImageObstacle.self) {
            try block.lie(on: open(gapLimit: 3), from: start, present: bitmap(filled))
        }
        #expect(!block.liesOnImage)
        #expect(isZero(block.base, byteCount: block.byteCount))
        try block.lie(on: open(gapLimit: 4), from: start, present: bitmap(filled))
        #expect(content(block) == expected(filled))
    }

    @Test func `content that is given up leaves zeros and no trace of the image`() throws {
        try makeImage([0..<Self.pageCount])
        let block = try makeBlock()
        try block.lie(on: open(), from: start, present: bitmap([0..<Self.pageCount]))
        block.base.storeBytes(of: 1, toByteOffset: 0, as: UInt8.self)
        block.discardContent()
        #expect(!block.liesOnImage)
        #expect(block.takeUntouched())
        #expect(isZero(block.base, byteCount: block.byteCount))
    }

    @Test(arguments: MemoryKind.allCases)
    func `only private memory of normal pages can lie on an image`(_ kind: MemoryKind) throws {
        let count = max(Self.pageCount * Self.page, 2 << 20)
        guard let test = try kind.makeBlock(byteCount: count) else { return }
        try makeImage([0..<1])
        #expect(truncate(path, off_t(count + 4 * Self.page)) == 0)
        var present = PageBitmap(pageCount: test.block.pageCount)
        present.set(0..<1, to: true)
        switch kind {
        case .anonymousSmallPages, .anonymousHugePages, .privateMemfd, .privateTmpfsFile:
            #expect(test.block.obstacleToImage == nil)
            try test.block.lie(on: open(), from: start, present: present)
            #expect(test.block.base.load(as: UInt8.self) == 1)
        case .memfd, .tmpfsFile, .hugetlb, .privateHugetlb:
            let obstacle = try #require(test.block.obstacleToImage)
            #expect {
                try test.block.lie(on: open(), from: start, present: present)
            } throws: {
                ($0 as? ImageObstacle)?.reason == obstacle
            }
        }
    }

    @Test func `an offset that isn't a page's is refused`() throws {
        try makeImage([0..<1])
        let block = try makeBlock()
        #expect(throws: ImageObstacle.self) {
            try block.lie(on: open(), from: start + 512, present: bitmap([]))
        }
        #expect(!block.liesOnImage)
    }

    @Test func `an image is locked as long as somebody has it`() throws {
        try makeImage([])
        let writer = try OwnedDescriptor.open(path, O_WRONLY)
        var first: MemoryImage? = try open()
        var second: MemoryImage? = try open()
        #expect(throws: SystemCallError.self) { try writer.lockForWriting(name: path) }
        first = nil
        #expect(throws: SystemCallError.self) { try writer.lockForWriting(name: path) }
        second = nil
        try writer.lockForWriting(name: path)
        #expect(throws: SystemCallError.self) { try open() }
        OwnedDescriptor.unlock(writer.raw)
        second = try open()
        #expect((first == nil, second != nil) == (true, true))
    }

    @Test func `a background snapshot of memory on an image is refused with its reason`() throws {
        try makeImage([0..<4])
        let block = try makeBlock()
        try block.lie(on: open(), from: start, present: bitmap([0..<4]))
        let obstacle = try #require(block.obstacleToSnapshot)
        #expect(obstacle.message.contains("lies on the image 'image'"))
        #expect(throws: obstacle) { _ = try MemorySnapshot([block]) }
    }

    @Test func `the kernel finds writes to memory on an image`() throws {
        try makeImage([0..<32])
        let block = try makeBlock()
        try block.lie(on: open(), from: start, present: bitmap([0..<32]))
        guard block.obstacleToKernelTracking == nil else {
            print("skipped: this kernel can't track writes")
            return
        }
        try block.tracking.choose(.kernel)
        let client = try block.tracking.begin()
        defer { client.end() }
        #expect(content(block) == expected([0..<32]))
        for page in [0, 7, 31, 50] {
            block.base.storeBytes(of: 0xee, toByteOffset: page * Self.page, as: UInt8.self)
        }
        var found = bitmap([])
        #expect(try client.collect(into: &found) == 4)
        #expect([0, 7, 31, 50].allSatisfy { found[$0] })
    }
}
