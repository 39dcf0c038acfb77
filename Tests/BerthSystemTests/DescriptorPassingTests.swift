import BerthSystem
import Glibc
import SystemPackage
import Testing

struct DescriptorPassingTests {
    private func send(_ raw: CInt, _ text: String, _ descriptors: [CInt] = []) throws -> Int {
        try Array(text.utf8).withUnsafeBytes {
            try Sockets.send(to: raw, $0, descriptors: descriptors)
        }
    }

    private func receive(
        _ raw: CInt,
        _ descriptors: inout ReceivedDescriptors,
        byteCount: Int = 64
    ) throws -> (outcome: Sockets.ReceiveOutcome, text: String) {
        var buffer = [UInt8](repeating: 0, count: byteCount)
        let outcome = try buffer.withUnsafeMutableBytes {
            try Sockets.receive(from: raw, into: $0, descriptors: &descriptors)
        }
        guard case .bytes(let count) = outcome else { return (outcome, "") }
        return (outcome, String(decoding: buffer.prefix(count), as: UTF8.self))
    }

    @Test(arguments: [1, 2, 15, 16])
    func `descriptors arrive open, in order and close-on-exec`(_ count: Int) throws {
        let pair = try Sockets.pair()
        let files = try (0..<count).map { index in
            let mapping = try MemoryMapping.memfd(name: "f", byteCount: 4096)
            mapping.bytes[0] = UInt8(index)
            return try #require(mapping.descriptor)
        }
        #expect(try send(pair.first.raw, "x", files.compactMap(\.raw)) == 1)
        var received = ReceivedDescriptors()
        #expect(try receive(pair.second.raw, &received).outcome == .bytes(1))
        let receivedCount = received.count
        #expect(receivedCount == count)
        let isTruncated = received.isTruncated
        #expect(!isTruncated)
        for index in 0..<count {
            let descriptor = try present(received.takeFirst())
            var byte: UInt8 = 255
            #expect(pread(descriptor.raw, &byte, 1, 0) == 1)
            #expect(byte == UInt8(index))
            #expect(fcntl(descriptor.raw, F_GETFD) & FD_CLOEXEC != 0)
        }
        let isEmpty = received.isEmpty
        #expect(isEmpty)
    }

    @Test func `more descriptors than a message may carry are refused`() throws {
        let pair = try Sockets.pair()
        let numbers = [CInt](repeating: pair.first.raw, count: 17)
        #expect(
            throws: SystemCallError(
                call: "sendmsg",
                operand: "fd \(pair.first.raw)",
                errno: .invalidArgument
            )
        ) { _ = try send(pair.first.raw, "x", numbers) }
    }

    @Test func `what is not taken is closed`() throws {
        let pair = try Sockets.pair()
        let pipe = try OwnedDescriptor.pipe()
        _ = try send(pair.first.raw, "x", [pipe.second.raw])
        let reader = pipe.takeFirst()
        do {
            var received = ReceivedDescriptors()
            _ = try receive(pair.second.raw, &received)
            #expect(received.count == 1)
        }
        #expect(try readAll(reader.raw).isEmpty)
    }

    @Test func `a new set replaces the old one and plain bytes leave it`() throws {
        let pair = try Sockets.pair()
        let pipe = try OwnedDescriptor.pipe()
        var received = ReceivedDescriptors()
        _ = try send(pair.first.raw, "a", [pipe.first.raw, pipe.first.raw])
        _ = try receive(pair.second.raw, &received)
        _ = try send(pair.first.raw, "b")
        _ = try receive(pair.second.raw, &received)
        #expect(received.count == 2)
        _ = try send(pair.first.raw, "c", [pipe.first.raw])
        _ = try receive(pair.second.raw, &received)
        #expect(received.count == 1)
    }

    @Test func `a read ends where the next message's descriptors begin`() throws {
        let pair = try Sockets.pair()
        let pipe = try OwnedDescriptor.pipe()
        _ = try send(pair.first.raw, "one")
        _ = try send(pair.first.raw, "two", [pipe.first.raw])
        _ = try send(pair.first.raw, "three", [pipe.first.raw])
        var received = ReceivedDescriptors()
        var texts: [String] = []
        for _ in 0..<3 {
            let (outcome, text) = try receive(pair.second.raw, &received)
            guard case .bytes = outcome else { break }
            texts.append(text)
        }
        #expect(texts.joined() == "onetwothree")
        #expect(texts.last == "three")
    }

    @Test func `nothing to read and the end are told apart`() throws {
        let pair = try Sockets.pair()
        var received = ReceivedDescriptors()
        #expect(try receive(pair.second.raw, &received).outcome == .wouldBlock)
        shutdown(pair.first.raw, CInt(SHUT_WR))
        #expect(try receive(pair.second.raw, &received).outcome == .end)
    }

    @Test func `sending to a full socket sends nothing and to a closed one is an error`() throws {
        let pair = try Sockets.pair()
        let block = String(repeating: "x", count: 65536)
        var total = 0
        while true {
            let count = try send(pair.first.raw, block)
            if count == 0 { break }
            total += count
        }
        #expect(total > 0)
        let first = pair.takeFirst()
        #expect(
            throws: SystemCallError(
                call: "sendmsg",
                operand: "fd \(first.raw)",
                errno: .brokenPipe
            )
        ) { _ = try send(first.raw, "x") }
    }
}
