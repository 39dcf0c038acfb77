import BerthSystem
import BerthTransport
import Glibc
import Testing

@Suite(.timeLimit(.minutes(1)))
struct SocketTransportTests {
    private func incoming(_ uri: String) throws -> IncomingTransport {
        try IncomingTransport(
            address: try MigrationAddress(uri: uri),
            resources: TransportResources()
        )
    }

    private func connect(_ address: MigrationAddress) throws -> Channel {
        try OutgoingTransport(address: address, resources: TransportResources()).connect()
    }

    private func port(_ address: MigrationAddress?) -> UInt16? {
        if case .tcp(let inet) = address { UInt16(inet.port) } else { nil }
    }

    @Test(arguments: ["tcp:127.0.0.1:0", "tcp:[::1]:0", "tcp:localhost:0", "tcp::0", "tcp:0:0"])
    func `a stream goes through tcp to every address that is listened on`(_ uri: String) throws {
        let transport = try incoming(uri)
        #expect(!transport.boundAddresses.isEmpty)
        for address in transport.boundAddresses {
            #expect(port(address) != 0)
            let source = try connect(address)
            let destination = try transport.accept()
            #expect(source.isBidirectional && destination.isBidirectional)
            try source.write(pattern(1000))
            try source.close()
            #expect(try destination.readToEnd() == pattern(1000))
        }
        transport.close()
    }

    @Test func `an empty host listens on both families, each with a port of its own`() throws {
        let transport = try incoming("tcp::0")
        var families: Set<[Bool?]> = []
        for case .tcp(let inet) in transport.boundAddresses {
            families.insert([inet.ipv4, inet.ipv6])
        }
        #expect(families == [[true, nil], [nil, true]])
        #expect(Set(transport.boundAddresses.map(port)).count == 2)
    }

    @Test(arguments: [
        ("ipv4", "0.0.0.0"), ("ipv6=off", "0.0.0.0"), ("ipv6", "::"),
        ("ipv4=off", "::"),
    ])
    func `one family can be chosen`(_ option: String, _ host: String) throws {
        let transport = try incoming("tcp::0,\(option)")
        let hosts = transport.boundAddresses.map { address in
            if case .tcp(let inet) = address { inet.host } else { "" }
        }
        #expect(hosts == [host])
    }

    @Test func `no family at all is an error`() {
        #expect {
            try incoming("tcp::0,ipv4=off,ipv6=off")
        } throws: { "\($0)".hasSuffix("IPv4 and IPv6 are both switched off") }
    }

    @Test func `a port in use is an error without a range and passed over with one`() throws {
        let first = try incoming("tcp:127.0.0.1:0")
        let taken = try #require(port(first.boundAddresses.first))
        #expect {
            try incoming("tcp:127.0.0.1:\(taken)")
        } throws: { error in
            "\(error)"
                == "cannot listen on 'tcp:127.0.0.1:\(taken)': address already in use"
                && (error as? TransportError)?.hint != nil
        }
        #expect(throws: TransportError.self) {
            try incoming("tcp:127.0.0.1:\(taken),to=\(taken)")
        }
        let last = taken > 65000 ? 65535 : taken + 500
        let next = try incoming("tcp:127.0.0.1:\(taken),to=\(last)")
        let chosen = try #require(port(next.boundAddresses.first))
        #expect(chosen > taken && chosen <= last)
    }

    @Test func `a closed listener frees its port and its accepted channels stay`() throws {
        let first = try incoming("tcp:127.0.0.1:0")
        let address = try #require(first.boundAddresses.first)
        let source = try connect(address)
        let destination = try first.accept()
        first.close()
        first.close()
        let second = try incoming(address.description)
        try source.write([1])
        #expect(try destination.readExactly(1) == [1])
        #expect(throws: TransportError.self) { try first.accept() }
        second.close()
    }

    @Test func `many connections wait until they are accepted`() throws {
        let transport = try incoming("tcp:127.0.0.1:0")
        let address = try #require(transport.boundAddresses.first)
        let sources = try (0..<64).map { _ in try connect(address) }
        for _ in sources { _ = try transport.accept() }
    }

    @Test func `a unix socket's file comes and goes with the listener`() throws {
        let directory = try TestDirectory()
        let path = directory.file("s")
        for _ in 0..<2 {
            let transport = try incoming("unix:\(path)")
            #expect(transport.boundAddresses == [.unix(.init(path: path))])
            let source = try connect(transport.address)
            let destination = try transport.accept()
            try source.write([1, 2])
            try source.close()
            #expect(try destination.readToEnd() == [1, 2])
            transport.close()
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test func `an abstract name leaves no file`() throws {
        let directory = try TestDirectory()
        let address = MigrationAddress.unix(.init(path: directory.file("s"), isAbstract: true))
        let transport = try IncomingTransport(address: address, resources: TransportResources())
        _ = try connect(address)
        _ = try transport.accept()
        #expect(access(directory.file("s"), F_OK) != 0)
    }

    @Test func `a unix path that is too long is an error both ways`() throws {
        let uri = "unix:/\(String(repeating: "x", count: 107))"
        let address = try MigrationAddress(uri: uri)
        #expect {
            try incoming(uri)
        } throws: { "\($0)" == "cannot listen on '\(uri)': file name too long" }
        #expect {
            try connect(address)
        } throws: { "\($0)" == "cannot connect to '\(uri)': file name too long" }
    }

    @Test func `connecting where nobody listens says so and what to do`() throws {
        let directory = try TestDirectory()
        let listener = try incoming("tcp:127.0.0.1:0")
        let address = try #require(listener.boundAddresses.first)
        listener.close()
        #expect {
            try connect(address)
        } throws: { error in
            "\(error)" == "cannot connect to '\(address)': connection refused"
                && (error as? TransportError)?.hint?.hasPrefix("start the destination") == true
        }
        let missing = MigrationAddress.unix(.init(path: directory.file("missing")))
        #expect {
            try connect(missing)
        } throws: { "\($0)" == "cannot connect to '\(missing)': no such file or directory" }
    }

    @Test(arguments: [
        "tcp::1", "tcp:127.0.0.1:no-such-service", "vsock:x:1", "vsock:1:99999999999",
    ])
    func `an address that cannot be connected to is an error`(_ uri: String) throws {
        let address = try MigrationAddress(uri: uri)
        #expect {
            try connect(address)
        } throws: { "\($0)".hasPrefix("cannot connect to '\(uri)': ") }
    }

    @Test(arguments: ["vsock:x:1", "vsock:-1:1", "vsock:4294967296:1", "rdma:host:1"])
    func `an address that cannot be listened on is an error`(_ uri: String) {
        #expect(throws: TransportError.self) { try incoming(uri) }
    }

    @Test func `rdma is refused in so many words`() throws {
        let address = try MigrationAddress(uri: "rdma:host:1")
        let transport = try OutgoingTransport(address: address, resources: TransportResources())
        #expect {
            try transport.openNow()
        } throws: { "\($0)" == "cannot use 'rdma:host:1': RDMA isn't supported" }
    }

    @Test func `vsock listens with a port that the kernel chose, or says why not`() throws {
        do {
            let transport = try incoming("vsock:4294967295:4294967295")
            guard case .vsock(_, let port)? = transport.boundAddresses.first else {
                Issue.record("bound to \(transport.boundAddresses)")
                return
            }
            #expect(UInt32(port) != nil && port != "4294967295")
        } catch {
            // A kernel without vsock.
            let text = "\(error)"
            #expect(text.hasPrefix("cannot listen on 'vsock:4294967295:4294967295': "))
            #expect(text.contains("address family not supported"))
        }
    }

    @Test func `connecting through vsock to a machine that is not there can be aborted`() throws {
        let transport = try OutgoingTransport(
            address: .vsock(cid: "77", port: "5"),
            resources: TransportResources()
        )
        let call = try BlockedCall { _ = try transport.connect() }
        transport.abort()
        #expect {
            try call.finish()
        } throws: { error in
            // Where the kernel knows at once that there is no such machine, that comes first.
            "\(error)".hasPrefix("cannot connect to 'vsock:77:5': ")
        }
    }
}
