import BerthSystem
import BerthTransport
import Glibc
import Testing

/// Sending over a socket without copying the memory first.
@Suite(.timeLimit(.minutes(1)))
struct ZeroCopyTests {
    private func connection() throws -> (source: Channel, destination: Channel) {
        let resources = TransportResources()
        let listener = try IncomingTransport(
            address: try MigrationAddress(uri: "tcp:127.0.0.1:0"),
            resources: resources
        )
        defer { listener.close() }
        let address = try #require(listener.boundAddresses.first)
        let source = try OutgoingTransport(address: address, resources: resources).connect()
        return (source, try listener.accept())
    }

    /// Sends a header and memory in pieces.
    private func send(
        _ header: [UInt8],
        _ memory: inout [UInt8],
        pieces: Int,
        by sender: ZeroCopySender
    ) throws {
        try memory.withUnsafeMutableBytes { memory in
            let byteCount = memory.count / pieces
            var vector = (0..<pieces).map { index in
                iovec(
                    iov_base: memory.baseAddress.map { $0 + index * byteCount },
                    iov_len: byteCount
                )
            }
            try header.withUnsafeBytes { header in
                try vector.withUnsafeMutableBufferPointer {
                    try sender.write(header: header, $0)
                }
            }
            // Until here the memory must stay where it is.
            try sender.settle()
        }
    }

    @Test(arguments: [1, 128, 2000])
    func `header and memory arrive in order`(pieces: Int) throws {
        let (source, destination) = try connection()
        let sender = try ZeroCopySender(source)
        // More than the socket holds, so that sending has to wait for the reader.
        let part = pattern(1_000_000)
        var memory: [UInt8] = []
        for _ in 0..<8 { memory += part }
        let received = try BlockedCall { try destination.readToEnd() }
        try send([1, 2, 3], &memory, pieces: pieces, by: sender)
        try send([], &memory, pieces: 1, by: sender)
        try source.close()
        #expect(try received.finish() == [1, 2, 3] + memory + memory)
    }

    @Test func `periods in which all was copied are counted`() throws {
        let (source, destination) = try connection()
        let sender = try ZeroCopySender(source)
        let received = try BlockedCall { try destination.readToEnd() }
        var memory = pattern(100_000)
        sender.endPeriod()
        #expect(sender.fallbackCount == 0, "nothing was sent")
        for count in [1, 2] as [UInt64] {
            try send([0], &memory, pieces: 2, by: sender)
            try send([0], &memory, pieces: 2, by: sender)
            sender.endPeriod()
            #expect(sender.fallbackCount == count, "the loopback copies")
            sender.endPeriod()
            #expect(sender.fallbackCount == count)
        }
        try source.close()
        _ = try received.finish()
    }

    @Test func `a reader that is gone ends the wait`() throws {
        let (source, destination) = try connection()
        let sender = try ZeroCopySender(source)
        let sending = try BlockedCall {
            var memory = [UInt8](repeating: 7, count: 16_000_000)
            try send([0], &memory, pieces: 16, by: sender)
        }
        destination.closeWithoutWaiting()
        let error = #expect(throws: TransportError.self) { try sending.finish() }
        #expect(error?.hint == "the other side has gone: its own messages say why")
        // What is written later fails, too, and waits for nothing.
        var memory = pattern(10)
        #expect(throws: TransportError.self) { try send([0], &memory, pieces: 1, by: sender) }
    }

    @Test func `abort ends the wait for a reader that stalls`() throws {
        let (source, destination) = try connection()
        let sender = try ZeroCopySender(source)
        let sending = try BlockedCall {
            var memory = [UInt8](repeating: 7, count: 16_000_000)
            try send([0], &memory, pieces: 16, by: sender)
        }
        source.abort()
        let error = #expect(throws: TransportError.self) { try sending.finish() }
        #expect(error?.isAborted == true)
        destination.closeWithoutWaiting()
    }

    @Test func `only TCP does without copying`() throws {
        var ends: [CInt] = [-1, -1]
        try SystemCall.check("socketpair", "") {
            socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends)
        }
        var channels = [try Channel(OwnedDescriptor(ends[0]), name: "unix:/run/x")]
        channels.append(try Channel(OwnedDescriptor(ends[1]), name: "unix:/run/x"))
        try SystemCall.check("pipe", "") { pipe(&ends) }
        channels.append(try Channel(OwnedDescriptor(ends[1]), name: "unix:/run/x"))
        _ = OwnedDescriptor(ends[0])
        for channel in channels {
            let error = #expect(throws: TransportError.self) { try ZeroCopySender(channel) }
            #expect(
                error?.description == "cannot use zero-copy-send with 'unix:/run/x': "
                    + "Linux sends without copying over TCP only"
            )
            #expect(error?.hint == "use tcp:, or turn the capability zero-copy-send off")
        }
    }
}
