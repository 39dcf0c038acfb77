import BerthSystem
import BerthTransport
import Glibc
import Testing

/// Bytes that show a lost, doubled or misplaced piece: no two nearby places look alike.
func pattern(_ count: Int, seed: UInt32 = 1) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return UInt8(truncatingIfNeeded: state >> 24)
    }
}

extension Channel {
    /// Reads to the end in pieces of at most `pieceBytes`.
    func readToEnd(pieceBytes: Int = 65536) throws -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: pieceBytes)
        while true {
            let count = try buffer.withUnsafeMutableBytes { try read(into: $0) }
            if count == 0 { return all }
            all += buffer.prefix(count)
        }
    }

    func write(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try write($0) }
    }
}

/// The two ends of a socket pair or a pipe.
func connected(_ kind: String) throws -> (writer: Channel, reader: Channel) {
    let isSocket = kind == "socket"
    let pair = isSocket ? try Sockets.pair() : try OwnedDescriptor.pipe()
    let first = try pair.first.duplicate()
    let second = try pair.second.duplicate()
    // A pipe's second end is the one for writing; a socket pair's ends are alike.
    return (
        try Channel(second, name: "\(kind) writer"),
        try Channel(first, name: "\(kind) reader")
    )
}

@Suite(.timeLimit(.minutes(1)))
struct ChannelStreamTests {
    @Test(arguments: ["socket", "pipe"], [1, 7, 4096, 1 << 20])
    func `everything written is read, in any pieces`(_ kind: String, _ pieceBytes: Int) throws {
        let (writer, reader) = try connected(kind)
        // With large pieces more than the buffers hold, so that each side waits for the other.
        let bytes = pattern(pieceBytes < 10 ? 20_000 * pieceBytes : 1_500_000)
        let call = try BlockedCall { try reader.readToEnd(pieceBytes: pieceBytes) }
        try writer.write(bytes)
        try writer.close()
        #expect(try call.finish() == bytes)
    }

    @Test(arguments: ["socket", "pipe"])
    func `vectors of every length are written whole`(_ kind: String) throws {
        let (writer, reader) = try connected(kind)
        // Many more than one call takes, with empty ones at the ends and in the midst.
        let lengths = [0, 0] + (0..<3000).map { $0 % 5 == 0 ? 0 : ($0 * 37) % 4097 } + [0]
        let bytes = pattern(lengths.reduce(0, +))
        let call = try BlockedCall { try reader.readToEnd() }
        var copy = bytes
        try copy.withUnsafeMutableBytes { memory in
            var offset = 0
            var vectors = lengths.map { length in
                defer { offset += length }
                return iovec(iov_base: memory.baseAddress.map { $0 + offset }, iov_len: length)
            }
            try vectors.withUnsafeMutableBufferPointer { try writer.writeVector($0) }
        }
        try writer.close()
        #expect(try call.finish() == bytes)
    }

    @Test(arguments: ["socket", "pipe"])
    func `vectors are filled in order by what is there`(_ kind: String) throws {
        let (writer, reader) = try connected(kind)
        let bytes = pattern(1000)
        try writer.write(bytes)
        var first = [UInt8](repeating: 0, count: 8)
        var second = [UInt8](repeating: 0, count: 4096)
        let count = try first.withUnsafeMutableBytes { a in
            try second.withUnsafeMutableBytes { b in
                var vectors = [
                    iovec(iov_base: a.baseAddress, iov_len: a.count),
                    iovec(iov_base: b.baseAddress, iov_len: b.count),
                ]
                return try vectors.withUnsafeMutableBufferPointer { try reader.readVector($0) }
            }
        }
        #expect(count == 1000)
        #expect(first + second.prefix(992) == bytes)
    }

    @Test func `no vectors and no bytes are no work`() throws {
        let (writer, reader) = try connected("socket")
        try writer.write([])
        try writer.writeVector(UnsafeMutableBufferPointer(start: nil, count: 0))
        #expect(try reader.read(into: UnsafeMutableRawBufferPointer(start: nil, count: 0)) == 0)
        #expect(try reader.readVector(UnsafeMutableBufferPointer(start: nil, count: 0)) == 0)
    }

    @Test(arguments: ["socket", "pipe"])
    func `the other side's end is the end, again and again`(_ kind: String) throws {
        let (writer, reader) = try connected(kind)
        try writer.write([1])
        try writer.close()
        #expect(try reader.readToEnd() == [1])
        #expect(try reader.readToEnd() == [])
        #expect(try reader.waitReadable(timeout: .zero))
    }

    @Test(arguments: ["socket", "pipe"])
    func `writing where nobody reads is an error that names the channel`(_ kind: String) throws {
        let (writer, reader) = try connected(kind)
        try reader.close()
        #expect {
            try writer.write(pattern(100))
        } throws: { error in
            "\(error)" == "cannot write to '\(kind) writer': broken pipe"
                && (error as? TransportError)?.hint != nil
        }
    }

    @Test(arguments: ["socket", "pipe"])
    func `waiting for input tells whether there is any`(_ kind: String) throws {
        let (writer, reader) = try connected(kind)
        #expect(try !reader.waitReadable(timeout: .zero))
        try writer.write([1])
        #expect(try reader.waitReadable(timeout: .seconds(60)))
    }

    @Test func `both ends of a socket talk at once`() throws {
        let (left, right) = try connected("socket")
        let there = pattern(600_000, seed: 1)
        let back = pattern(600_000, seed: 2)
        let calls = [
            try BlockedCall {
                try left.write(there); return [UInt8]()
            },
            try BlockedCall {
                try right.write(back); return [UInt8]()
            },
            try BlockedCall { try left.readExactly(600_000) },
            try BlockedCall { try right.readExactly(600_000) },
        ]
        let results = try calls.map { try $0.finish() }
        #expect(results[2] == back)
        #expect(results[3] == there)
    }

    @Test func `what a channel can do depends on the object`() throws {
        let (socket, _) = try connected("socket")
        #expect(socket.isSocket && socket.isBidirectional && !socket.isSeekable)
        let (pipe, _) = try connected("pipe")
        #expect(!pipe.isSocket && !pipe.isBidirectional && !pipe.isSeekable)
        #expect(pipe.byteCount == nil && pipe.position == nil)
        #expect(throws: TransportError.self) { try pipe.seek(to: 0) }
        #expect(throws: TransportError.self) { try pipe.resize(to: 0) }
        try pipe.synchronize()
    }

    @Test func `a device without room is an error with the system's reason`() throws {
        let full = try Channel(OwnedDescriptor.open("/dev/full", O_WRONLY), name: "/dev/full")
        #expect {
            try full.write([1])
        } throws: { error in
            "\(error)" == "cannot write to '/dev/full': no space left on device"
        }
    }

    @Test func `a pipe that others hold keeps its flags`() throws {
        let pipe = try OwnedDescriptor.pipe()
        let channel = try Channel(pipe.first.duplicate(), name: "pipe")
        #expect(try pipe.first.statusFlags() & O_NONBLOCK == 0)
        try channel.close()
    }

    @Test func `a socket that others hold keeps its flags`() throws {
        let pair = try Sockets.pair()
        let channel = try Channel(pair.first.duplicate(), name: "socket")
        #expect(try pair.first.statusFlags() & O_NONBLOCK == 0)
        try channel.close()
    }

    @Test func `a device that others hold gets its flags back`() throws {
        let null = try OwnedDescriptor.open("/dev/null", O_WRONLY)
        let channel = try Channel(null.duplicate(), name: "null")
        #expect(try null.statusFlags() & O_NONBLOCK != 0)
        try channel.close()
        #expect(try null.statusFlags() & O_NONBLOCK == 0)
    }

    @Test func `closing twice is harmless`() throws {
        let (writer, _) = try connected("socket")
        try writer.close()
        try writer.close()
        writer.abort()
    }
}

extension Channel {
    func readExactly(_ count: Int) throws -> [UInt8] {
        var all = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let step = try all.withUnsafeMutableBytes {
                try read(into: UnsafeMutableRawBufferPointer(rebasing: $0[done...]))
            }
            if step == 0 { break }
            done += step
        }
        return Array(all.prefix(done))
    }
}
