import BerthSystem
import Glibc
import SystemPackage
import Testing

struct MemoryMappingTests {
    private let page = MemoryMapping.hostPageByteCount

    @Test func `anonymous memory is zero, writable and aligned for huge pages`() throws {
        let mapping = try MemoryMapping.anonymous(byteCount: 3 << 20)
        #expect(mapping.byteCount == 3 << 20)
        #expect(UInt(bitPattern: mapping.base) % UInt(MemoryMapping.hugePageByteCount) == 0)
        #expect(mapping.bytes.allSatisfy { $0 == 0 })
        mapping.bytes[mapping.byteCount - 1] = 7
        #expect(mapping.bytes.last == 7)
    }

    @Test(arguments: [0, -1, Int.min, Int.max, Int.max - (1 << 20)])
    func `a size that cannot be is an error`(_ byteCount: Int) {
        #expect(throws: SystemCallError.self) {
            _ = try MemoryMapping.anonymous(byteCount: byteCount)
        }
    }

    @Test func `more than there is address space for is an error and leaves nothing mapped`() {
        #expect(throws: SystemCallError(call: "mmap", operand: "memory", errno: .noMemory)) {
            _ = try MemoryMapping.anonymous(byteCount: 1 << 60)
        }
    }

    @Test func `two mappings of a memfd share their bytes`() throws {
        let first = try MemoryMapping.memfd(name: "test", byteCount: 2 * page)
        let copy = try #require(first.descriptor).duplicate()
        let second = try MemoryMapping.file(
            copy,
            offset: UInt64(page),
            byteCount: page,
            sharing: .shared,
            path: "test"
        )
        first.bytes[page] = 42
        #expect(second.bytes[0] == 42)
    }

    @Test func `a private mapping of a file leaves the file alone`() throws {
        let directory = try TestDirectory()
        let file = try OwnedDescriptor.open(directory.file("f"), O_CREAT | O_RDWR, mode: 0o600)
        try writeAll(file.raw, [UInt8](repeating: 1, count: page))
        func map(_ sharing: MemoryMapping.Sharing) throws -> MemoryMapping {
            try .file(file, offset: 0, byteCount: page, sharing: sharing, path: "f")
        }
        let own = try map(.private)
        let shared = try map(.shared)
        own.bytes[0] = 2
        #expect(shared.bytes[0] == 1)
        shared.bytes[1] = 3
        var byte: UInt8 = 0
        #expect(pread(file.raw, &byte, 1, 1) == 1)
        #expect(byte == 3)
    }

    @Test func `a file offset that is no multiple of a page is an error`() throws {
        let memory = try MemoryMapping.memfd(name: "test", byteCount: 2 * page)
        let copy = try #require(memory.descriptor).duplicate()
        for offset in [1, UInt64.max] {
            #expect(throws: SystemCallError(call: "mmap", operand: "x", errno: .invalidArgument)) {
                _ = try MemoryMapping.file(
                    copy,
                    offset: offset,
                    byteCount: page,
                    sharing: .shared,
                    path: "x"
                )
            }
        }
    }

    @Test(arguments: [MemoryMapping.Sharing.private, .shared])
    func `discarded pages read as zeros and their neighbours stay`(
        _ sharing: MemoryMapping.Sharing
    ) throws {
        let mapping =
            switch sharing {
            case .private: try MemoryMapping.anonymous(byteCount: 4 * page)
            case .shared: try MemoryMapping.memfd(name: "test", byteCount: 4 * page)
            }
        for index in mapping.bytes.indices { mapping.bytes[index] = 9 }
        try mapping.discard(page..<(3 * page))
        #expect(mapping.bytes[..<page].allSatisfy { $0 == 9 })
        #expect(mapping.bytes[page..<(3 * page)].allSatisfy { $0 == 0 })
        #expect(mapping.bytes[(3 * page)...].allSatisfy { $0 == 9 })
        #expect(throws: SystemCallError.self) { try mapping.discard(0..<(5 * page)) }
        #expect(throws: SystemCallError.self) { try mapping.discard(1..<page) }
    }

    @Test(arguments: [true, false])
    func `preallocated memory is there before it is touched`(_ isPreallocated: Bool) throws {
        let options = MemoryMapping.Options(hugePages: false, isPreallocated: isPreallocated)
        let mapping = try MemoryMapping.anonymous(byteCount: 16 * page, options: options)
        var resident = [UInt8](repeating: 0, count: 16)
        #expect(mincore(mapping.base, mapping.byteCount, &resident) == 0)
        #expect(resident.allSatisfy { ($0 & 1 == 1) == isPreallocated })
    }

    @Test func `a mapping keeps its file, and tells where that has content`() throws {
        let memory = try MemoryMapping.memfd(name: "test", byteCount: 8 * page)
        memory.bytes[2 * page] = 1
        memory.bytes[3 * page] = 1
        memory.bytes[7 * page] = 1
        let file = try #require(memory.descriptor)
        let part = try MemoryMapping.file(
            file.duplicate(),
            offset: UInt64(page),
            byteCount: 7 * page,
            sharing: .shared,
            path: "test"
        )
        #expect(part.fileOffset == UInt64(page) && part.path == "test" && memory.path == nil)
        var found: [Range<Int>] = []
        try part.visitFileData(in: 0..<7 * page) { found.append($0) }
        #expect(found == [page..<3 * page, 6 * page..<7 * page])
        found = []
        try part.visitFileData(in: 2 * page..<6 * page) { found.append($0) }
        #expect(found == [2 * page..<3 * page])
        #expect(try MemoryMapping.anonymous(byteCount: page).descriptor == nil)
    }

    @Test func `huge pages of a size that is none are an error`() throws {
        for size in [-1, 0, 3, page, 1 << 60] {
            #expect(throws: SystemCallError.self, "size \(size)") {
                try MemoryMapping.memfd(
                    name: "test",
                    byteCount: page,
                    pages: .hugetlb(byteCount: size)
                )
            }
        }
    }

    @Test func `memory is given back when the mapping goes`() throws {
        var mapping: MemoryMapping? = try MemoryMapping.anonymous(byteCount: 64 << 20)
        let base = try #require(mapping?.base)
        mapping = nil
        var resident: UInt8 = 0
        // ENOMEM: nothing is mapped there. Another thread's mapping could take the place only in
        // part of these 64 MiB, so look at several spots.
        let gone = stride(from: 0, to: 64 << 20, by: 4 << 20).contains {
            mincore(base + $0, page, &resident) == -1 && Glibc.errno == ENOMEM
        }
        #expect(gone)
    }
}
