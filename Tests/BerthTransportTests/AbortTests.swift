import BerthSystem
import BerthTransport
import Glibc
import Testing

/// Every operation that can block is ended by an abort, whether it blocks already or comes later.
@Suite(.timeLimit(.minutes(1)))
struct AbortTests {
    private func expectAborted(
        _ call: BlockedCall<Void>,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(sourceLocation: sourceLocation) {
            try call.finish()
        } throws: { error in
            (error as? TransportError)?.isAborted == true
        }
    }

    @Test(arguments: ["socket", "pipe"])
    func `a read that waits`(_ kind: String) throws {
        let (writer, reader) = try connected(kind)
        let call = try BlockedCall { _ = try reader.readToEnd() }
        reader.abort()
        expectAborted(call)
        expectAborted(try BlockedCall { _ = try reader.readToEnd() })
        writer.abort()
    }

    @Test(arguments: ["socket", "pipe"])
    func `a read of vectors that waits`(_ kind: String) throws {
        let (writer, reader) = try connected(kind)
        let call = try BlockedCall {
            var byte: UInt8 = 0
            try withUnsafeMutableBytes(of: &byte) { memory in
                var vector = iovec(iov_base: memory.baseAddress, iov_len: 1)
                try withUnsafeMutablePointer(to: &vector) {
                    _ = try reader.readVector(UnsafeMutableBufferPointer(start: $0, count: 1))
                }
            }
        }
        reader.abort()
        expectAborted(call)
        writer.abort()
    }

    @Test(arguments: ["socket", "pipe"])
    func `a wait for input`(_ kind: String) throws {
        let (writer, reader) = try connected(kind)
        let call = try BlockedCall { _ = try reader.waitReadable(timeout: .seconds(3600)) }
        reader.abort()
        expectAborted(call)
        writer.abort()
    }

    @Test(arguments: ["socket", "pipe"])
    func `a write to a reader that does not read`(_ kind: String) throws {
        let (writer, reader) = try connected(kind)
        let bytes = [UInt8](repeating: 1, count: 4_000_000)
        let call = try BlockedCall { try writer.write(bytes) }
        writer.abort()
        expectAborted(call)
        expectAborted(try BlockedCall { try writer.write(bytes) })
        reader.abort()
    }

    @Test(arguments: ["socket", "pipe"])
    func `a write of vectors to a reader that does not read`(_ kind: String) throws {
        let (writer, reader) = try connected(kind)
        let call = try BlockedCall { () throws -> Void in
            var bytes = [UInt8](repeating: 1, count: 4_000_000)
            try bytes.withUnsafeMutableBytes { memory in
                var vectors = (0..<4).map { index in
                    iovec(
                        iov_base: memory.baseAddress.map { $0 + 1_000_000 * index },
                        iov_len: 1_000_000
                    )
                }
                try vectors.withUnsafeMutableBufferPointer { try writer.writeVector($0) }
            }
        }
        writer.abort()
        expectAborted(call)
        reader.abort()
    }

    @Test func `reading and writing one socket at once`() throws {
        let (left, right) = try connected("socket")
        let bytes = [UInt8](repeating: 1, count: 4_000_000)
        let writing = try BlockedCall { try left.write(bytes) }
        let reading = try BlockedCall { _ = try left.readToEnd() }
        left.abort()
        expectAborted(writing)
        expectAborted(reading)
        // The other side learns of it: what was sent, then the end.
        #expect(try right.readToEnd().count < bytes.count)
    }

    @Test func `access to a file, before the next call`() throws {
        let directory = try TestDirectory()
        let file = try Channel(
            OwnedDescriptor.open(directory.file("f"), O_CREAT | O_RDWR, mode: 0o600),
            name: "f"
        )
        file.abort()
        let operations: [@Sendable () throws -> Void] = [
            { try file.write([1]) },
            { _ = try file.readToEnd() },
            { try pattern(1).withUnsafeBytes { try file.write(at: 0, $0) } },
            {
                var byte: UInt8 = 0
                _ = try withUnsafeMutableBytes(of: &byte) { try file.read(at: 0, into: $0) }
            },
        ]
        for operation in operations { expectAborted(try BlockedCall(operation)) }
        try file.close()
        #expect(try FileStatus(path: directory.file("f")).byteCount == 0)
    }

    @Test func `waiting for a connection, and what was accepted before`() throws {
        let incoming = try IncomingTransport(
            address: .tcp(.init(host: "127.0.0.1", port: "0")),
            resources: TransportResources()
        )
        let outgoing = try OutgoingTransport(
            address: try #require(incoming.boundAddresses.first),
            resources: TransportResources()
        )
        let source = try outgoing.connect()
        let accepted = try incoming.accept()
        let reading = try BlockedCall { _ = try accepted.readToEnd() }
        let accepting = try BlockedCall { _ = try incoming.accept() }
        incoming.abort()
        expectAborted(accepting)
        expectAborted(reading)
        #expect(try source.readToEnd().isEmpty)
        expectAborted(try BlockedCall { _ = try incoming.accept() })
        incoming.close()
    }

    @Test func `connecting to a full unix queue`() throws {
        let directory = try TestDirectory()
        let address = try SocketAddress.unix(directory.file("s"))
        let listener = try Sockets.listen(on: address, backlog: 0)
        let transport = try OutgoingTransport(
            address: .unix(.init(path: directory.file("s"))),
            resources: TransportResources()
        )
        let first = try transport.connect()
        let call = try BlockedCall { _ = try transport.connect() }
        transport.abort()
        expectAborted(call)
        #expect(first.hasBeenAborted)
        _ = listener.raw
    }

    @Test func `connecting to a tcp listener that does not answer`() throws {
        let loopback = try #require(
            try NameResolution.addresses(
                .init(host: "127.0.0.1", service: "0", isPassive: true)
            ).first
        )
        let listener = try Sockets.listen(on: loopback, backlog: 0)
        let bound = try Sockets.localAddress(of: listener.raw).parts
        guard case .internet(let host, let port, _) = bound else { return }
        let transport = try OutgoingTransport(
            address: .tcp(.init(host: host, port: "\(port)")),
            resources: TransportResources()
        )
        let first = try transport.connect()
        let call = try BlockedCall { _ = try transport.connect() }
        transport.abort()
        expectAborted(call)
        #expect(first.hasBeenAborted)
        _ = listener.raw
    }

    @Test func `connecting where a name has to be looked up`() throws {
        let transport = try OutgoingTransport(
            address: .tcp(.init(host: "berth.invalid", port: "1")),
            resources: TransportResources()
        )
        transport.abort()
        expectAborted(try BlockedCall { _ = try transport.connect() })
    }

    @Test func `a channel that comes after the abort is aborted`() throws {
        let directory = try TestDirectory()
        let transport = try OutgoingTransport(
            address: .file(path: directory.file("f"), offset: 0),
            resources: TransportResources()
        )
        transport.abort()
        #expect(try transport.openNow().hasBeenAborted)
    }

    @Test func `a write to a command that never reads`() throws {
        let transport = try OutgoingTransport(
            address: .exec(["/bin/sleep", "1000"]),
            resources: TransportResources()
        )
        let channel = try transport.openNow()
        let bytes = [UInt8](repeating: 1, count: 4_000_000)
        let call = try BlockedCall { try channel.write(bytes) }
        transport.abort()
        expectAborted(call)
        expectAborted(try BlockedCall { try channel.close() })
    }

    @Test func `a wait for a command that never ends`() throws {
        let transport = try OutgoingTransport(
            address: .exec(["/bin/sleep", "1000"]),
            resources: TransportResources()
        )
        let channel = try transport.openNow()
        let call = try BlockedCall { try channel.close() }
        transport.abort()
        expectAborted(call)
    }

    @Test func `a read from a command that says nothing`() throws {
        let incoming = try IncomingTransport(
            address: .exec(["/bin/sleep", "1000"]),
            resources: TransportResources()
        )
        let channel = try incoming.accept()
        let call = try BlockedCall { _ = try channel.readToEnd() }
        incoming.abort()
        expectAborted(call)
    }

    @Test func `a read from a FIFO that nobody writes to`() throws {
        let directory = try TestDirectory()
        mkfifo(directory.file("fifo"), 0o600)
        let incoming = try IncomingTransport(
            address: .file(path: directory.file("fifo"), offset: 0),
            resources: TransportResources()
        )
        let channel = try incoming.accept()
        let call = try BlockedCall { _ = try channel.readToEnd() }
        incoming.abort()
        expectAborted(call)
    }
}
