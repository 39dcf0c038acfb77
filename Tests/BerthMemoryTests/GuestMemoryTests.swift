import BerthMemory
import BerthSystem
import BerthTestSupport
import Glibc
import Testing

/// Blocks, their order, and where their memory comes from.
@Suite struct GuestMemoryTests {
    private let page = targetPageByteCount

    @Test func `blocks are listed longest first, equal ones as they came`() throws {
        let memory = try GuestMemory([
            RAMBlock(id: "rom", byteCount: page), RAMBlock(id: "ram", byteCount: 4 * page),
            RAMBlock(id: "rom2", byteCount: page), RAMBlock(id: "vram", byteCount: 2 * page),
        ])
        #expect(memory.blocks.map(\.id) == ["ram", "vram", "rom", "rom2"])
        #expect(memory.byteCount == UInt64(8 * page))
        #expect(memory["vram"]?.byteCount == 2 * page)
        #expect(memory["none"] == nil)
    }

    @Test func `equal memory has equal digests, any changed byte another`() throws {
        let first = try RAMBlock(id: "a", byteCount: 2 * page)
        let second = try RAMBlock(id: "b", byteCount: 2 * page)
        #expect(first.digest == second.digest)
        for offset in [0, 7, 8, page - 1, page, 2 * page - 1] {
            second.base.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self)
            #expect(first.digest != second.digest, "byte \(offset)")
            second.base.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self)
        }
        #expect(first.digest == second.digest)
    }

    @Test func `fresh memory is known to be zero once`() throws {
        let block = try RAMBlock(id: "a", byteCount: page)
        #expect(block.takeUntouched())
        #expect(!block.takeUntouched())
    }

    @Test(arguments: [MemoryBackend.Kind.ram, .memfd], [false, true])
    func `content that is given up leaves memory as at first`(
        _ kind: MemoryBackend.Kind,
        _ isShared: Bool
    ) throws {
        var backend = MemoryBackend(id: "mem0", kind: kind, byteCount: UInt64(3 * page))
        backend.isShared = isShared
        let block = try RAMBlock(backend)
        #expect(block.takeUntouched())
        block.base.storeBytes(of: 0x5a, toByteOffset: 2 * page, as: UInt8.self)
        block.discardContent()
        #expect(isZero(block.base, byteCount: block.byteCount))
        #expect(block.takeUntouched())
    }

    @Test func `a shared file shows what the guest wrote, a private one does not`() throws {
        let directory = try PeersDirectory()
        for isShared in [true, false] {
            let path = directory.file("memory-\(isShared)")
            var backend = MemoryBackend(
                id: "mem0",
                kind: .file(path: path, offset: UInt64(page), readOnly: false),
                byteCount: UInt64(2 * page)
            )
            backend.isShared = isShared
            let block = try RAMBlock(backend)
            #expect(block.id == "mem0" && block.byteCount == 2 * page)
            #expect(!block.takeUntouched(), "a file may have content")
            block.base.storeBytes(of: 0x5a, toByteOffset: 3, as: UInt8.self)
            #expect(try FileStatus(path: path).byteCount == UInt64(3 * page))
            let file = try OwnedDescriptor.open(path, O_RDONLY)
            var byte: UInt8 = 0
            #expect(pread(file.raw, &byte, 1, off_t(page + 3)) == 1)
            #expect(byte == (isShared ? 0x5a : 0))
        }
    }

    @Test func `memory that cannot be had is an error with its name`() throws {
        let directory = try PeersDirectory()
        #expect(throws: SystemCallError.self) {
            try RAMBlock(MemoryBackend(id: "m", kind: .ram, byteCount: .max))
        }
        #expect(throws: SystemCallError.self) {
            try RAMBlock(MemoryBackend(id: "m", kind: .ram, byteCount: 0))
        }
        let missing = directory.file("no/such/file")
        #expect {
            try RAMBlock(
                MemoryBackend(
                    id: "m",
                    kind: .file(path: missing, offset: 0, readOnly: false),
                    byteCount: 4096
                )
            )
        } throws: { error in
            "\(error)".contains(missing)
        }
        #expect(throws: SystemCallError.self, "a file that may not grow is too short") {
            let path = directory.file("short")
            _ = try OwnedDescriptor.open(path, O_CREAT | O_RDWR, mode: 0o600)
            _ = try RAMBlock(
                MemoryBackend(
                    id: "m",
                    kind: .file(path: path, offset: 0, readOnly: true),
                    byteCount: 4096
                )
            )
        }
    }
}
