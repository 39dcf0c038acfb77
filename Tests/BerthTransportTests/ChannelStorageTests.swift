import BerthSystem
import BerthTransport
import Glibc
import Testing

@Suite(.timeLimit(.minutes(1)))
struct ChannelStorageTests {
    private func channel(_ directory: TestDirectory) throws -> Channel {
        let file = try OwnedDescriptor.open(directory.file("f"), O_CREAT | O_RDWR, mode: 0o600)
        return try Channel(file, name: "file:f")
    }

    @Test func `bytes are written and read at any offset`() throws {
        let directory = try TestDirectory()
        let file = try channel(directory)
        #expect(file.isSeekable)
        let bytes = pattern(100_000)
        try bytes.withUnsafeBytes { try file.write(at: 1 << 32, $0) }
        let expectedByteCount: UInt64 = (1 << 32) + 100_000
        #expect(file.byteCount == expectedByteCount)
        #expect(file.position == 0)
        var back = [UInt8](repeating: 9, count: 100_016)
        let count = try back.withUnsafeMutableBytes { try file.read(at: (1 << 32) - 16, into: $0) }
        #expect(count == 100_016)
        #expect(back == [UInt8](repeating: 0, count: 16) + bytes)
    }

    @Test func `a read across the end is short and one behind it empty`() throws {
        let directory = try TestDirectory()
        let file = try channel(directory)
        try pattern(10).withUnsafeBytes { try file.write(at: 0, $0) }
        var buffer = [UInt8](repeating: 0, count: 8)
        #expect(try buffer.withUnsafeMutableBytes { try file.read(at: 6, into: $0) } == 4)
        #expect(try buffer.withUnsafeMutableBytes { try file.read(at: 10, into: $0) } == 0)
        #expect(try buffer.withUnsafeMutableBytes { try file.read(at: 1 << 40, into: $0) } == 0)
    }

    @Test func `the position moves with reading and writing in order`() throws {
        let directory = try TestDirectory()
        let file = try channel(directory)
        try file.write(pattern(100))
        #expect(file.position == 100)
        try file.seek(to: 40)
        #expect(try file.readToEnd() == Array(pattern(100)[40...]))
        #expect(file.position == 100)
        try file.resize(to: 30)
        #expect(file.byteCount == 30)
        try file.synchronize()
    }

    @Test(arguments: [1 << 63, UInt64.max - 1, UInt64.max])
    func `an offset that no file has is an error`(_ offset: UInt64) throws {
        let directory = try TestDirectory()
        let file = try channel(directory)
        var buffer = [UInt8](repeating: 0, count: 4)
        #expect(throws: TransportError.self) {
            try buffer.withUnsafeMutableBytes { try file.read(at: offset, into: $0) }
        }
        #expect(throws: TransportError.self) {
            try buffer.withUnsafeBytes { try file.write(at: offset, $0) }
        }
        #expect(throws: TransportError.self) { try file.seek(to: offset) }
        #expect(throws: TransportError.self) { try file.resize(to: offset) }
        #expect(file.byteCount == 0)
    }

    @Test func `a write that crosses the last offset a file can have is an error`() throws {
        let directory = try TestDirectory()
        let file = try channel(directory)
        #expect {
            try pattern(16).withUnsafeBytes { try file.write(at: UInt64(Int64.max) - 4, $0) }
        } throws: { error in
            "\(error)".hasPrefix("cannot write to 'file:f': ")
        }
    }

    @Test func `vectors of every length are written whole at an offset`() throws {
        let directory = try TestDirectory()
        let file = try channel(directory)
        let lengths = [0] + (0..<3000).map { $0 % 7 == 0 ? 0 : ($0 * 37) % 211 } + [0]
        var bytes = pattern(lengths.reduce(0, +))
        let expected = bytes
        try bytes.withUnsafeMutableBytes { memory in
            var offset = 0
            var vectors = lengths.map { length in
                defer { offset += length }
                return iovec(iov_base: memory.baseAddress.map { $0 + offset }, iov_len: length)
            }
            try vectors.withUnsafeMutableBufferPointer { try file.writeVector($0, at: 5000) }
        }
        #expect(file.position == 0)
        let expectedByteCount = UInt64(5000 + expected.count)
        #expect(file.byteCount == expectedByteCount)
        try file.seek(to: 5000)
        #expect(try file.readToEnd() == expected)
        let aborted = file
        aborted.abort()
        #expect {
            var vector = iovec(iov_base: nil, iov_len: 1)
            try withUnsafeMutablePointer(to: &vector) {
                let vectors = UnsafeMutableBufferPointer(start: $0, count: 1)
                try aborted.writeVector(vectors, at: 0)
            }
        } throws: { ($0 as? TransportError)?.isAborted == true }
    }

    @Test(.enabled(if: geteuid() == 0, "mounting a small file system needs root"))
    func `a full file system is an error in order and at an offset`() throws {
        let directory = try TestDirectory()
        let place = directory.file("small")
        mkdir(place, 0o700)
        try #require(mount("none", place, "tmpfs", 0, "size=256k") == 0)
        defer {
            umount2(place, CInt(MNT_DETACH))
            rmdir(place)
        }
        let file = try Channel(
            OwnedDescriptor.open("\(place)/f", O_CREAT | O_RDWR, mode: 0o600),
            name: "file:f"
        )
        let bytes = pattern(1 << 20)
        for write in [
            { try bytes.withUnsafeBytes { try file.write(at: 4096, $0) } },
            { try file.write(bytes) },
        ] as [() throws -> Void] {
            #expect {
                try write()
            } throws: { error in
                "\(error)" == "cannot write to 'file:f': no space left on device"
                    && (error as? TransportError)?.hint != nil
            }
        }
        try file.close()
    }
}
