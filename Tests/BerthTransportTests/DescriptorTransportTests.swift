import BerthSystem
import BerthTransport
import Glibc
import Testing

@Suite(.timeLimit(.minutes(1)))
struct DescriptorTransportTests {
    /// Resources with one descriptor under the name `mig`.
    private func holding(_ descriptor: consuming OwnedDescriptor) -> TransportResources {
        let box = OwnedDescriptorBox(descriptor)
        return TransportResources(
            look: { $0 == "mig" ? try? box.duplicate() : nil },
            take: { $0 == "mig" ? box.take() : nil }
        )
    }

    private func outgoing(
        _ name: String,
        seeking capability: String? = nil,
        _ resources: TransportResources
    ) throws -> Channel {
        try OutgoingTransport(
            address: .fd(name),
            seekingCapability: capability,
            resources: resources
        ).openNow()
    }

    private func incoming(
        _ name: String,
        _ resources: TransportResources = TransportResources()
    ) throws -> Channel {
        try IncomingTransport(address: .fd(name), resources: resources).accept()
    }

    @Test func `a file is used from its position and not cut off`() throws {
        let directory = try TestDirectory()
        let file = try OwnedDescriptor.open(directory.file("f"), O_CREAT | O_RDWR, mode: 0o600)
        try writeAll(file.raw, pattern(1000))
        lseek(file.raw, 100, CInt(SEEK_SET))
        let channel = try outgoing("mig", seeking: "mapped-ram", holding(file.duplicate()))
        #expect(channel.isSeekable)
        #expect(channel.position == 100)
        #expect(channel.byteCount == 1000)
        try channel.write([1])
        #expect(channel.byteCount == 1000)
    }

    @Test func `a name is used once`() throws {
        let resources = holding(try Sockets.pair().takeFirst())
        let channel = try outgoing("mig", resources)
        #expect(channel.isBidirectional)
        #expect {
            try outgoing("mig", resources)
        } throws: { error in
            "\(error)"
                == "cannot use 'fd:mig': no descriptor of this name is held by the monitor"
        }
    }

    @Test func `digits are a name when going out`() throws {
        let pipe = try OwnedDescriptor.pipe()
        _ = fcntl(pipe.second.raw, F_SETFD, 0)
        #expect {
            try outgoing("\(pipe.second.raw)", TransportResources())
        } throws: { "\($0)".hasSuffix("no descriptor of this name is held by the monitor") }
    }

    @Test func `a descriptor that was opened the other way is an error at once`() throws {
        let directory = try TestDirectory()
        let path = directory.file("f")
        let flags = O_CREAT | O_RDONLY
        let readOnly = holding(try OwnedDescriptor.open(path, flags, mode: 0o600))
        #expect {
            try outgoing("mig", readOnly)
        } throws: { "\($0)" == "cannot use 'fd:mig': it was opened read-only" }
        let writeOnly = holding(try OwnedDescriptor.open(path, O_WRONLY))
        #expect {
            try incoming("mig", writeOnly)
        } throws: { "\($0)" == "cannot use 'fd:mig': it was opened write-only" }
    }

    @Test func `a pipe is refused where offsets are needed`() throws {
        #expect {
            try outgoing("mig", seeking: "mapped-ram", holding(OwnedDescriptor.pipe().takeSecond()))
        } throws: { error in
            "\(error)".hasPrefix(
                "cannot use capability 'mapped-ram' with 'fd:mig': "
                    + "a pipe cannot be written at an offset; use "
            )
        }
    }

    @Test func `a file opened for appending serves a stream but no offsets`() throws {
        let directory = try TestDirectory()
        let path = directory.file("log")
        let flags = O_CREAT | O_WRONLY | O_APPEND
        #expect {
            try outgoing(
                "mig",
                seeking: "mapped-ram",
                holding(OwnedDescriptor.open(path, flags, mode: 0o600))
            )
        } throws: { "\($0)".contains("a file that was opened for appending cannot be written at") }
        let channel = try outgoing("mig", holding(OwnedDescriptor.open(path, flags)))
        #expect(!channel.isSeekable)
        try channel.write([1, 2])
        #expect(channel.byteCount == 2)
        try channel.synchronize()
    }

    @Test func `an inherited number is read and taken`() throws {
        let pipe = try OwnedDescriptor.pipe()
        try writeAll(pipe.second.raw, pattern(100))
        try pipe.second.duplicate().close()
        let inherited = dup(pipe.first.raw)
        let channel = try incoming("\(inherited)")
        #expect(try channel.readExactly(100) == pattern(100))
        try channel.close()
    }

    @Test(arguments: ["999999", "99999999999999999999", "7x"])
    func `a number that was not inherited is refused`(_ text: String) {
        #expect {
            try incoming(text)
        } throws: { error in
            "\(error)" == "cannot use 'fd:\(text)': no descriptor of this number was inherited"
        }
    }

    @Test func `this process's own descriptors cannot be reached by number`() throws {
        let pipe = try OwnedDescriptor.pipe()
        #expect(throws: TransportError.self) { try incoming("\(pipe.first.raw)") }
        try writeAll(pipe.second.raw, [1])
    }
}
