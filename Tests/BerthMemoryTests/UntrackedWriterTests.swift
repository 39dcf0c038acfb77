import BerthMemory
import BerthSystem
import BerthTestSupport
import Glibc
import Testing

/// Whether somebody else may write shared memory.
@Suite(.timeLimit(.minutes(1)))
struct UntrackedWriterTests {
    private func fileBlock(_ path: String, isShared: Bool = true) throws -> RAMBlock {
        try RAMBlock(
            MemoryBackend(
                id: "ram",
                kind: .file(path: path, offset: 0, readOnly: false),
                byteCount: 1 << 20,
                isShared: isShared
            )
        )
    }

    /// A file on disk and one in memory.
    private func withFiles(_ body: (String) throws -> Void) throws {
        let directory = try PeersDirectory()
        try body(directory.file("memory"))
        let path = "/dev/shm/berth-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        defer { unlink(path) }
        try body(path)
    }

    @Test func `nobody but us is no obstacle`() throws {
        try withFiles { path in
            let block = try fileBlock(path)
            #expect(block.untrackedWriterObstacle == nil)
        }
        let memfd = try #require(try MemoryKind.memfd.makeBlock(byteCount: 1 << 20)).block
        #expect(memfd.untrackedWriterObstacle == nil)
        #expect(memfd.untrackedWriterObstacle == nil, "the lease was given back")
        let given = try #require(memfd.shareableDescriptor).duplicate()
        #expect(memfd.untrackedWriterObstacle == nil, "who gives \(given.raw) away knows of it")
    }

    @Test func `an open elsewhere is an obstacle until it is closed`() throws {
        try withFiles { path in
            let block = try fileBlock(path)
            do {
                let other = try OwnedDescriptor.open(path, O_RDWR)
                let obstacle = try #require(block.untrackedWriterObstacle, "fd \(other.raw)")
                #expect(obstacle.message.contains(path))
                #expect(obstacle.hint != nil)
            }
            #expect(block.untrackedWriterObstacle == nil)
        }
    }

    @Test func `a mapping elsewhere is an obstacle without its descriptor`() throws {
        try withFiles { path in
            let block = try fileBlock(path)
            var other: RAMBlock? = try fileBlock(path)
            #expect(other != nil && block.untrackedWriterObstacle != nil)
            other = nil
            #expect(block.untrackedWriterObstacle == nil)
        }
    }

    @Test func `a memfd that is opened through proc is an obstacle`() throws {
        let block = try #require(try MemoryKind.memfd.makeBlock(byteCount: 1 << 20)).block
        let raw = try #require(block.shareableDescriptor?.raw)
        do {
            let other = try OwnedDescriptor.open("/proc/\(getpid())/fd/\(raw)", O_RDWR)
            #expect(block.untrackedWriterObstacle != nil, "fd \(other.raw)")
        }
        #expect(block.untrackedWriterObstacle == nil)
    }

    @Test func `another process is an obstacle as long as it has the file open`() throws {
        let directory = try PeersDirectory()
        try withFiles { path in
            let block = try fileBlock(path)
            let process = try PeersProcess(["/usr/bin/tail", "-f", path], in: directory)
            while block.untrackedWriterObstacle == nil, process.isRunning { usleep(1000) }
            #expect(process.isRunning, "it was seen while it ran")
            process.kill()
            #expect(block.untrackedWriterObstacle == nil)
        }
    }

    @Test func `private memory has no other writers`() throws {
        #expect(try RAMBlock(id: "ram", byteCount: 4096).untrackedWriterObstacle == nil)
        try withFiles { path in
            let block = try fileBlock(path, isShared: false)
            let other = try OwnedDescriptor.open(path, O_RDWR)
            #expect(block.untrackedWriterObstacle == nil, "fd \(other.raw)")
            #expect(block.shareableDescriptor == nil && !block.isSharedFile)
        }
    }

    @Test func `a file without leases is an obstacle that says so`() throws {
        let zero = try OwnedDescriptor.open("/dev/zero", O_RDWR)
        let mapping = try MemoryMapping.file(
            zero,
            offset: 0,
            byteCount: 4096,
            sharing: .shared,
            path: "/dev/zero"
        )
        let block = RAMBlock(id: "ram", byteCount: 4096, mapping: mapping, isZeroed: true)
        let obstacle = try #require(block.untrackedWriterObstacle)
        #expect(obstacle.message.contains("cannot tell"))
    }
}
