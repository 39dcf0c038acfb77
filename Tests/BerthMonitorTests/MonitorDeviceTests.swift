import BerthMonitor
import BerthSystem
import Glibc
import Synchronization
import Testing

/// Binds a listening unix socket the way a parent process does that hands it down.
private func listener(at path: String) throws -> CInt {
    let raw = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let result = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    guard result == 0, listen(raw, 1) == 0 else {
        throw TestClient.Failure(description: "bind: errno \(errno)")
    }
    return raw
}

/// Waits for a connection without blocking.
private func accept(on raw: CInt) async throws -> TestClient {
    _ = fcntl(raw, F_SETFL, O_NONBLOCK)
    var connection: CInt = -1
    try await MonitorFixture.until {
        connection = Glibc.accept(raw, nil, nil)
        return connection >= 0
    }
    return TestClient(raw: connection)
}

private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

@Suite(.timeLimit(.minutes(5))) struct MonitorDeviceTests {
    @Test func `makes a socket for its owner alone and removes it in the end`() async throws {
        let fixture = try MonitorFixture.listening()
        var status = stat()
        #expect(stat(fixture.path("0"), &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        await fixture.server.close()
        #expect(!exists(fixture.path("0")))
    }

    @Test func `replaces a socket that was left behind, but no other file`() async throws {
        let fixture = try MonitorFixture()
        close(try listener(at: fixture.path("0")))
        try fixture.open(.unix(path: fixture.path("0")), isServer: true)
        try fixture.server.start()
        #expect(try await fixture.connect().line()?.hasPrefix(#"{"QMP""#) == true)

        close(open(fixture.path("file"), O_CREAT | O_WRONLY, 0o600))
        let error = #expect(throws: MonitorDeviceError.self) {
            try fixture.open(.unix(path: fixture.path("file")), isServer: true)
        }
        #expect(error?.description.contains(fixture.path("file")) == true)
        await fixture.server.close()
        #expect(exists(fixture.path("file")))
    }

    @Test func `serves the second client when the first has gone`() async throws {
        let fixture = try MonitorFixture.listening()
        var first: TestClient? = try fixture.connect()
        try await first?.negotiate()
        let second = try fixture.connect()
        try await second.send(#"{"execute":"qmp_capabilities","id":"early"}"#)
        #expect(try await first?.command(#"{"execute":"query-name"}"#) == #"{"return": {}}"#)
        #expect(second.isSilent())
        #expect(fixture.server.devices.map(\.fileName) == ["unix:\(fixture.path("0")),server=on"])
        first = nil
        #expect(try await second.line()?.hasPrefix(#"{"QMP""#) == true)
        #expect(try await second.line() == #"{"return": {}, "id": "early"}"#)
        await fixture.server.close()
    }

    @Test func `listens on TCP`() async throws {
        let fixture = try MonitorFixture()
        // The kernel chooses a port for a socket of ours; a moment later it is free for the monitor.
        let probe = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        #expect(listen(probe, 1) == 0)
        let parts = try Sockets.localAddress(of: probe).parts
        close(probe)
        guard case .internet(_, let port, _) = parts else {
            Issue.record("no port: \(parts)")
            return
        }
        try fixture.open(.tcp(host: "127.0.0.1", port: "\(port)"), isServer: true)
        try fixture.server.start()
        let client = try TestClient(port: port)
        try await client.negotiate()
        let reply = try await client.command(#"{"execute":"getfd","arguments":{"fdname":"a"}}"#)
        #expect(reply?.contains("No file descriptor supplied via SCM_RIGHTS") == true)
        await fixture.server.close()
        #expect(try await client.line() == nil)
    }

    @Test func `takes over a listening socket and removes its file`() async throws {
        let fixture = try MonitorFixture()
        try fixture.open(.descriptor(try listener(at: fixture.path("0"))), isServer: true)
        try fixture.server.start()
        try await fixture.connect().negotiate()
        try await fixture.connect().negotiate()
        await fixture.server.close()
        #expect(!exists(fixture.path("0")))
    }

    @Test func `takes over a connected socket`() async throws {
        var ends: [CInt] = [0, 0]
        #expect(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let fixture = try MonitorFixture()
        try fixture.open(.descriptor(ends[0]), isServer: false)
        try fixture.server.start()
        let client = TestClient(raw: ends[1])
        try await client.negotiate()
        #expect(try await client.command(#"{"execute":"query-name"}"#) == #"{"return": {}}"#)
        await fixture.server.close()
        #expect(try await client.line() == nil)
    }

    @Test func `refuses descriptors that are not what they should be`() async throws {
        let fixture = try MonitorFixture()
        let listening = try listener(at: fixture.path("0"))
        let file = open("/dev/null", O_RDONLY)
        defer { close(listening); close(file) }
        for (number, isServer) in [(listening, false), (file, true), (file, false), (-1, true)] {
            #expect(throws: MonitorDeviceError.self) {
                try fixture.open(.descriptor(number), isServer: isServer)
            }
        }
        await fixture.server.close()
    }

    @Test func `connects to a listener`() async throws {
        let fixture = try MonitorFixture()
        let raw = try listener(at: fixture.path("0"))
        defer { close(raw) }
        try fixture.open(.unix(path: fixture.path("0")), isServer: false)
        try fixture.server.start()
        let client = try await accept(on: raw)
        try await client.negotiate()
        await fixture.server.close()
        #expect(try await client.line() == nil)
        // It is not ours.
        #expect(exists(fixture.path("0")))
    }

    @Test func `connects again when told to, and at first without success`() async throws {
        let fixture = try MonitorFixture()
        try fixture.open(
            .unix(path: fixture.path("0")),
            isServer: false,
            reconnectDelay: .milliseconds(5)
        )
        #expect(fixture.reported.count == 1)
        #expect(
            fixture.reported.first?.hasPrefix("Unable to connect character device mon: ") == true
        )
        try fixture.server.start()
        let raw = try listener(at: fixture.path("0"))
        defer { close(raw) }
        for _ in 0..<3 {
            let client = try await accept(on: raw)
            try await client.negotiate()
        }
        #expect(fixture.reported.count == 1)
        await fixture.server.close()
    }

    @Test func `fails where nobody listens`() async throws {
        let fixture = try MonitorFixture()
        let error = #expect(throws: MonitorDeviceError.self) {
            try fixture.open(.unix(path: fixture.path("0")), isServer: false)
        }
        #expect(error?.description.hasPrefix("cannot connect '") == true)
        await fixture.server.close()
    }

    @Test func `waits for its first client before anything else`() async throws {
        let fixture = try MonitorFixture()
        let opened = Mutex(false)
        let thread = try NamedThread.start(name: "test-open") {
            _ = try? fixture.open(
                .unix(path: fixture.path("0")),
                isServer: true,
                waitsForClient: true
            )
            opened.withLock { $0 = true }
        }
        try await MonitorFixture.until { fixture.reported.count == 1 }
        let path = fixture.path("0")
        let notice = "info: QEMU waiting for connection on: disconnected:unix:\(path),server=on"
        #expect(fixture.reported == [notice])
        let wasOpen = opened.withLock { $0 }
        #expect(!wasOpen)
        let client = try fixture.connect()
        try await MonitorFixture.until { opened.withLock { $0 } }
        #expect(client.isSilent())
        try fixture.server.start()
        try await client.negotiate()
        await fixture.server.close()
        withExtendedLifetime(thread) {}
    }

    @Test func `stops waiting when everything is closed`() async throws {
        let fixture = try MonitorFixture()
        let failure = Mutex<String?>(nil)
        try NamedThread.start(name: "test-open") {
            do {
                try fixture.open(
                    .unix(path: fixture.path("0")),
                    isServer: true,
                    waitsForClient: true
                )
            } catch {
                failure.withLock { $0 = "\(error)" }
            }
        }
        try await MonitorFixture.until { fixture.reported.count == 1 }
        await fixture.server.close()
        try await MonitorFixture.until { failure.withLock { $0 } != nil }
        #expect(failure.withLock { $0 } == "stopped waiting for a client of 'mon'")
        #expect(!exists(fixture.path("0")))
    }

    @Test func `lets other sessions than QMP use a device and end a connection`() async throws {
        let fixture = try MonitorFixture.listening(mode: .readline)
        for _ in 0..<2 {
            let client = try fixture.connect()
            #expect(try await client.line() == "hello")
            #expect(try await client.command("a") == "a")
            #expect(try await client.command("bye") == "bye")
            #expect(try await client.line() == nil)
        }
        await fixture.server.close()
    }

    @Test func `accepts a device without anything behind it`() async throws {
        let fixture = try MonitorFixture()
        try fixture.openNull()
        try fixture.server.start()
        #expect(fixture.server.devices.map(\.fileName) == ["null"])
        await fixture.server.close()
    }
}
