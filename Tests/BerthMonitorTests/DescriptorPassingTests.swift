import BerthMonitor
import BerthSystem
import Glibc
import Testing

/// A file that exists in memory only, to be recognised by its content.
private func makeFile(_ content: String) throws -> CInt {
    var ends: [CInt] = [0, 0]
    guard pipe(&ends) == 0 else { throw TestClient.Failure(description: "pipe: errno \(errno)") }
    _ = write(ends[1], content, content.utf8.count)
    close(ends[1])
    return ends[0]
}

private func content(of raw: CInt) -> String {
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = read(raw, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
}

@Suite(.timeLimit(.minutes(5))) struct DescriptorPassingTests {
    private static let missing =
        #"{"error": {"class": "GenericError", "desc": "No file descriptor supplied via SCM_RIGHTS; "#
        + #"send it as ancillary data of the same message, over a unix socket"}}"#
    private static let ok = #"{"return": {}}"#

    private static func getFD(_ name: String) -> String {
        #"{"execute":"getfd","arguments":{"fdname":"\#(name)"}}"#
    }

    private struct Session {
        let fixture: MonitorFixture
        let monitor: MonitorContext
        let client: TestClient

        /// What the descriptor that has this name refers to.
        func content(named name: String) -> String? {
            guard let descriptor = monitor.descriptors.take(name) else { return nil }
            return BerthMonitorTests.content(of: descriptor.raw)
        }

        func send(_ text: String, _ contents: String...) async throws {
            let files = try contents.map { try makeFile($0) }
            try await client.send(text, descriptors: files)
            for file in files { close(file) }
        }
    }

    private func start(_ arguments: String = "{}") async throws -> Session {
        let fixture = try MonitorFixture()
        let monitor = try fixture.open(.unix(path: fixture.path("0")), isServer: true)
        try fixture.server.start()
        let client = try fixture.connect()
        try await client.negotiate(arguments)
        return Session(fixture: fixture, monitor: monitor, client: client)
    }

    @Test func `takes a descriptor that comes with its command`() async throws {
        let session = try await start()
        try await session.send(Self.getFD("a") + "\r\n", "one")
        #expect(try await session.client.line() == Self.ok)
        #expect(session.content(named: "a") == "one")
        #expect(session.content(named: "a") == nil)
        await session.fixture.server.close()
    }

    @Test func `takes a descriptor that comes with a blank before the command`() async throws {
        let session = try await start(#"{"enable":["oob"]}"#)
        try await session.send(" ", "one")
        #expect(try await session.client.command(Self.getFD("a")) == Self.ok)
        #expect(session.content(named: "a") == "one")
        await session.fixture.server.close()
    }

    @Test func `keeps a descriptor through other commands and failures`() async throws {
        let session = try await start()
        try await session.send(#"{"execute":"query-name"}"#, "one")
        #expect(try await session.client.line() == Self.ok)
        let wrong = try await session.client.command(
            #"{"execute":"getfd","arguments":{"fdname":1}}"#
        )
        #expect(wrong?.contains("Invalid parameter type for 'fdname', expected: string") == true)
        #expect(try await session.client.command(Self.getFD("")) == Self.ok)
        #expect(session.content(named: "") == "one")
        #expect(try await session.client.command(Self.getFD("b")) == Self.missing)
        await session.fixture.server.close()
    }

    @Test func `uses the first of several descriptors and the last message's`() async throws {
        let session = try await start()
        try await session.send(" ", "old")
        try await session.send(Self.getFD("a"), "one", "two", "three")
        #expect(try await session.client.line() == Self.ok)
        #expect(session.content(named: "a") == "one")
        #expect(try await session.client.command(Self.getFD("b")) == Self.missing)
        await session.fixture.server.close()
    }

    @Test(arguments: ["{}", #"{"enable":["oob"]}"#])
    func `binds each of many descriptors to the request that it came with`(
        capabilities: String
    ) async throws {
        let session = try await start(capabilities)
        try await session.client.send(#"{"execute":"query-uuid"}"#)
        try await MonitorFixture.until { session.fixture.handler.barrier.waiterCount == 1 }
        for number in 0..<5 { try await session.send(Self.getFD("n\(number)"), "\(number)") }
        // Without a descriptor, in one read with one that has: it must not get the other's.
        try await session.client.send(Self.getFD("none"))
        try await session.send(Self.getFD("last"), "last")
        session.fixture.handler.barrier.open()
        for _ in 0..<6 { #expect(try await session.client.line() == Self.ok) }
        #expect(try await session.client.line() == Self.missing)
        #expect(try await session.client.line() == Self.ok)
        for number in 0..<5 { #expect(session.content(named: "n\(number)") == "\(number)") }
        #expect(session.content(named: "last") == "last")
        await session.fixture.server.close()
    }

    @Test func `binds a descriptor to the request that its message begins`() async throws {
        let session = try await start()
        try await session.client.send(#"{"execute":"query-uuid"}"#)
        try await MonitorFixture.until { session.fixture.handler.barrier.waiterCount == 1 }
        try await session.client.send(Self.getFD("none"))
        try await session.send(#"{"execute":"getfd","#, "one")
        try await session.client.send(#""arguments":{"fdname":"a"}}"#)
        session.fixture.handler.barrier.open()
        #expect(try await session.client.line() == Self.ok)
        #expect(try await session.client.line() == Self.missing)
        #expect(try await session.client.line() == Self.ok)
        #expect(session.content(named: "a") == "one")
        await session.fixture.server.close()
    }

    @Test func `refuses a name that begins with a digit and closes the descriptor`() async throws {
        let session = try await start()
        try await session.send(Self.getFD("1a"), "one")
        let reply = try await session.client.line()
        #expect(
            reply?.contains("Parameter 'fdname' expects a name not starting with a digit") == true
        )
        #expect(try await session.client.command(Self.getFD("a")) == Self.missing)
        await session.fixture.server.close()
    }

    @Test func `keeps names, but not loose descriptors, for the next client`() async throws {
        let fixture = try MonitorFixture()
        let monitor = try fixture.open(.unix(path: fixture.path("0")), isServer: true)
        try fixture.server.start()
        var client: TestClient? = try fixture.connect()
        try await client?.negotiate()
        for name in ["kept", "loose"] {
            let file = try makeFile(name)
            try await client?.send(name == "kept" ? Self.getFD(name) : " ", descriptors: [file])
            close(file)
            if name == "kept" { #expect(try await client?.line() == Self.ok) }
        }
        client = nil
        let next = try fixture.connect()
        try await next.negotiate()
        #expect(try await next.command(Self.getFD("a")) == Self.missing)
        if let look = monitor.descriptors.look("kept") {
            #expect(content(of: look.raw) == "kept")
        } else {
            Issue.record("the name went with the client")
        }
        let closing = #"{"execute":"closefd","arguments":{"fdname":"kept"}}"#
        #expect(try await next.command(closing) == Self.ok)
        let again = try await next.command(closing)
        #expect(again?.contains("File descriptor named 'kept' not found") == true)
        await fixture.server.close()
    }

    @Test func `keeps the names of two monitors apart`() async throws {
        let fixture = try MonitorFixture.listening(2)
        let clients = [try fixture.connect("0"), try fixture.connect("1")]
        for client in clients { try await client.negotiate() }
        let file = try makeFile("one")
        try await clients[0].send(Self.getFD("a"), descriptors: [file])
        close(file)
        #expect(try await clients[0].line() == Self.ok)
        let closing = #"{"execute":"closefd","arguments":{"fdname":"a"}}"#
        let reply = try await clients[1].command(closing)
        #expect(reply?.contains("File descriptor named 'a' not found") == true)
        #expect(try await clients[0].command(closing) == Self.ok)
        await fixture.server.close()
    }
}
