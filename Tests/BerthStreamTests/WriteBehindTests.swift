import BerthSystem
import BerthTestSupport
import BerthTransport
import Glibc
import Testing

@testable import BerthStream

/// Files that a thread writes while their owner goes on.
@Suite(.timeLimit(.minutes(5)))
struct WriteBehindTests {
    private let directory: PeersDirectory

    init() throws { directory = try PeersDirectory() }

    private func file(_ path: String) throws -> Channel {
        try Channel(
            OwnedDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600),
            name: "file:\(path)"
        )
    }

    /// Pieces as writers make them: large runs, odd records, pages that come again, gaps.
    private func pieces(_ random: inout SeededGenerator) -> [(place: Int, bytes: [UInt8])] {
        var place = Int.random(in: 0..<5000, using: &random)
        return (0..<160).map { _ in
            switch Int.random(in: 0..<10, using: &random) {
            case 0: place = Int.random(in: 0..<40_000_000, using: &random)
            case 1: place = Int.random(in: 0..<10_000, using: &random) * 4096
            default: break
            }
            let sizes = [1, 8, 4096, 4104, 65_536, 200_000, 1 << 20]
            let size = sizes.randomElement(using: &random) ?? 1
            let byte = UInt8.random(in: 1...255, using: &random)
            defer { place += size }
            return (place, (0..<size).map { byte &+ UInt8(truncatingIfNeeded: $0 / 4096) })
        }
    }

    @Test(arguments: [false, true])
    func `the file is what was written, in the order of the writes`(onTmpfs: Bool) throws {
        var random = SeededGenerator()
        // There the page cache is all there is, and many kernels have no way past it.
        let path = onTmpfs ? "/dev/shm/berth-behind-\(getpid())" : directory.file("file")
        defer { unlink(path) }
        let channel = try file(path)
        let behind = try WriteBehind(to: channel)
        var expected = [UInt8](repeating: 0, count: 50_000_000)
        var end = 0
        for (index, piece) in pieces(&random).enumerated() {
            try unsafe piece.bytes.withUnsafeBytes { bytes in
                unsafe try behind.write(bytes, at: UInt64(piece.place))
            }
            expected.replaceSubrange(
                piece.place..<piece.place + piece.bytes.count,
                with: piece.bytes
            )
            end = max(end, piece.place + piece.bytes.count)
            if index % 60 == 59 {
                try behind.flush()
                #expect(channel.byteCount == UInt64(end), "seed \(random.seed)")
            }
        }
        try behind.flush()
        let bytes = try StreamFile.content(of: path)
        #expect(bytes == Array(expected[..<end]), "seed \(random.seed)")
    }

    @Test func `a large piece goes past the page cache, and its ends don't`() throws {
        let path = directory.file("file")
        let channel = try file(path)
        let direct = try #require(channel.openDirect(), "the folder for tests has no O_DIRECT")
        #expect(direct.isDirect)
        let behind = try WriteBehind(to: channel)
        let piece = [UInt8](repeating: 7, count: 1 << 20)
        try unsafe piece.withUnsafeBytes { unsafe try behind.write($0, at: 100) }
        try behind.flush()
        #expect(try StreamFile.content(of: path) == [UInt8](repeating: 0, count: 100) + piece)
    }

    @Test func `a failure is told by a later call and the rest is dropped`() throws {
        let folder = directory.file("tiny")
        let tiny = try #require(
            StreamTinyFileSystem(on: folder),
            "a file system can't be mounted here"
        )
        let behind = try WriteBehind(to: file(tiny.folder + "/file"))
        let piece = [UInt8](repeating: 7, count: 1 << 20)
        let error = try #require(throws: StreamError.self) {
            for index in 0..<64 {
                try unsafe piece.withUnsafeBytes { bytes in
                    unsafe try behind.write(bytes, at: UInt64(index * bytes.count))
                }
            }
            try behind.flush()
        }
        #expect(error.description.contains("no space left on device"))
        #expect(throws: error) { try behind.flush() }
    }

    @Test func `what wasn't flushed may go with its owner`() throws {
        let channel = try file(directory.file("file"))
        var behind: WriteBehind? = try WriteBehind(to: channel)
        let piece = [UInt8](repeating: 7, count: 5 << 20)
        try unsafe piece.withUnsafeBytes { unsafe try behind?.write($0, at: 0) }
        behind = nil
        // Its thread has ended: nothing is written any more.
        try channel.resize(to: 0)
        #expect(channel.byteCount == 0)
    }
}
