import BerthSystem
import Glibc
import SystemPackage
import Testing

@Suite(.timeLimit(.minutes(1)))
struct SocketTests {
    private func loopback(_ host: String) throws -> SocketAddress {
        try #require(
            try NameResolution.addresses(.init(host: host, service: "0", isPassive: true)).first
        )
    }

    /// Connects to a listener, sends a byte each way.
    private func talk(_ listener: borrowing OwnedDescriptor, _ address: SocketAddress) throws {
        let client = try present(Sockets.connect(to: address))
        let server = try present(Sockets.accept(on: listener.raw))
        try writeAll(client.raw, [1])
        #expect(try Poll.wait(for: server.raw, .input) == .ready)
        var byte: UInt8 = 0
        #expect(read(server.raw, &byte, 1) == 1)
        #expect(byte == 1)
    }

    @Test(arguments: ["127.0.0.1", "::1"])
    func `tcp connects over both kinds of address`(_ host: String) throws {
        let listener = try Sockets.listen(on: try loopback(host))
        let bound = try Sockets.localAddress(of: listener.raw)
        guard case .internet(host, let port, isIPv6: host == "::1") = bound.parts else {
            Issue.record("bound to \(bound)")
            return
        }
        #expect(port != 0)
        #expect(bound.description == (host == "::1" ? "[::1]:\(port)" : "127.0.0.1:\(port)"))
        #expect(Sockets.isListening(listener.raw))
        try talk(listener, bound)
    }

    @Test func `a port in use is an error with the address`() throws {
        let listener = try Sockets.listen(on: try loopback("127.0.0.1"))
        let bound = try Sockets.localAddress(of: listener.raw)
        #expect(
            throws: SystemCallError(
                call: "bind",
                operand: bound.description,
                errno: .addressInUse
            )
        ) { _ = try Sockets.listen(on: bound).raw }
    }

    @Test func `a refused connection is an error with the address`() throws {
        let listener = try Sockets.listen(on: try loopback("127.0.0.1"))
        let bound = try Sockets.localAddress(of: listener.raw)
        try listener.close()
        #expect(
            throws: SystemCallError(
                call: "connect",
                operand: bound.description,
                errno: .connectionRefused
            )
        ) { _ = try Sockets.connect(to: bound)?.raw }
    }

    @Test(arguments: [false, true], [false, true])
    func `unix sockets connect by path and by abstract name`(
        _ isAbstract: Bool,
        _ isTight: Bool
    ) throws {
        let directory = try TestDirectory()
        let address = try SocketAddress.unix(
            directory.file("s"),
            isAbstract: isAbstract,
            isTight: isTight
        )
        let listener = try Sockets.listen(on: address)
        try talk(listener, address)
        if isAbstract {
            #expect(throws: SystemCallError.self) { _ = try FileStatus(path: directory.file("s")) }
            // Tight and padded names are different names.
            let other = try SocketAddress.unix(
                directory.file("s"),
                isAbstract: true,
                isTight: !isTight
            )
            #expect(throws: SystemCallError.self) { _ = try Sockets.connect(to: other)?.raw }
        } else {
            #expect(
                address.parts == .unix(path: directory.file("s"), isAbstract: false)
            )
        }
    }

    @Test func `a socket path of 107 bytes is taken and one of 108 is refused`() throws {
        let longest = String(repeating: "p", count: 107)
        #expect(try SocketAddress.unix(longest).parts == .unix(path: longest, isAbstract: false))
        #expect(
            throws: SystemCallError(
                call: "use the socket path",
                operand: longest + "p",
                errno: .fileNameTooLong
            )
        ) { _ = try SocketAddress.unix(longest + "p") }
        #expect(throws: SystemCallError.self) { _ = try SocketAddress.unix("") }
        #expect(throws: SystemCallError.self) { _ = try SocketAddress.unix("a\0b") }
    }

    @Test func `a vsock address keeps its numbers`() {
        let address = SocketAddress.vsock(cid: 3, port: 4_000_000_000)
        #expect(address.parts == .vsock(cid: 3, port: 4_000_000_000))
        #expect(address.description == "3:4000000000")
    }

    @Test func `aborting ends a wait for a connection`() throws {
        let listener = try Sockets.listen(on: try loopback("127.0.0.1"))
        let raw = listener.raw
        let abort = try WakeEvent()
        let call = try BlockedCall { try Sockets.accept(on: raw, abort: abort)?.raw }
        abort.signal()
        #expect(try call.finish() == nil)
    }

    @Test func `aborting ends an attempt to connect that nobody answers`() throws {
        // Once a listener's queue is full, Linux drops further requests without an answer.
        let listener = try Sockets.listen(on: try loopback("127.0.0.1"), backlog: 0)
        let bound = try Sockets.localAddress(of: listener.raw)
        let first = try present(Sockets.connect(to: bound))
        let abort = try WakeEvent()
        let call = try BlockedCall { try Sockets.connect(to: bound, abort: abort)?.raw }
        abort.signal()
        #expect(try call.finish() == nil)
        _ = first.raw
    }

    @Test func `aborting ends an attempt to connect to a full unix queue`() throws {
        let directory = try TestDirectory()
        let address = try SocketAddress.unix(directory.file("s"))
        let listener = try Sockets.listen(on: address, backlog: 0)
        let first = try present(Sockets.connect(to: address))
        let abort = try WakeEvent()
        let call = try BlockedCall { try Sockets.connect(to: address, abort: abort)?.raw }
        abort.signal()
        #expect(try call.finish() == nil)
        _ = (first.raw, listener.raw)
    }

    @Test func `a full unix queue is waited for until there is room`() throws {
        let directory = try TestDirectory()
        let address = try SocketAddress.unix(directory.file("s"))
        let listener = try Sockets.listen(on: address, backlog: 0)
        let first = try present(Sockets.connect(to: address))
        let call = try BlockedCall { try Sockets.connect(to: address) != nil }
        let accepted = try present(Sockets.accept(on: listener.raw))
        #expect(try call.finish())
        _ = (first.raw, accepted.raw)
    }

    @Test func `the other side's process is known on a unix socket`() throws {
        let pair = try Sockets.pair()
        let peer = try Sockets.peerCredentials(of: pair.first.raw)
        #expect(peer.processID == getpid())
        #expect(peer.userID == getuid())
    }

    @Test func `a stale socket file is replaced and removed in the end`() throws {
        let directory = try TestDirectory()
        let path = directory.file("s")
        for _ in 0..<2 {
            // The first listener's file stays behind, as after a crash.
            _ = try UnixSocketFile.listen(at: path, mode: Sockets.ownerOnly).descriptor.raw
        }
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        let listener = try UnixSocketFile.listen(at: path)
        listener.file.remove()
        #expect(throws: SystemCallError.self) { _ = try FileStatus(path: path) }
    }

    @Test func `a file that is no socket is left alone`() throws {
        let directory = try TestDirectory()
        let path = directory.file("precious")
        let file = try OwnedDescriptor.open(path, O_CREAT | O_WRONLY, mode: 0o600)
        try writeAll(file.raw, [1])
        #expect(
            throws: SystemCallError(
                call: "replace by a socket",
                operand: path,
                errno: .fileExists
            )
        ) { _ = try UnixSocketFile.listen(at: path).file }
        #expect(try FileStatus(path: path).byteCount == 1)
    }

    @Test func `a successor's socket file is left alone`() throws {
        let directory = try TestDirectory()
        let path = directory.file("s")
        let old = try UnixSocketFile.listen(at: path)
        let new = try UnixSocketFile.listen(at: path)
        old.file.remove()
        #expect(try FileStatus(path: path).kind == .socket)
        new.file.remove()
    }
}
