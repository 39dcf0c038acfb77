import BerthSystem
import BerthTestSupport
import BerthTransport
import Glibc
import Testing

@Suite(.timeLimit(.minutes(1)))
struct FileTransportTests {
    private func outgoing(
        _ uri: String,
        seeking capability: String? = nil,
        _ resources: TransportResources = TransportResources()
    ) throws -> OutgoingTransport {
        try OutgoingTransport(
            address: try MigrationAddress(uri: uri),
            seekingCapability: capability,
            resources: resources
        )
    }

    private func incoming(
        _ uri: String,
        seeking capability: String? = nil,
        _ resources: TransportResources = TransportResources()
    ) throws -> Channel {
        try IncomingTransport(
            address: try MigrationAddress(uri: uri),
            seekingCapability: capability,
            resources: resources
        ).accept()
    }

    private func create(_ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644) throws {
        let file = try OwnedDescriptor.open(path, O_CREAT | O_WRONLY, mode: mode)
        try writeAll(file.raw, bytes)
        fchmod(file.raw, mode)
    }

    private func mode(_ path: String) -> UInt32 {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
    }

    @Test func `a new file is the owner's alone and read back as it was written`() throws {
        let directory = try TestDirectory()
        let uri = "file:\(directory.file("image"))"
        let transport = try outgoing(uri)
        #expect(transport.opensImmediately)
        let channel = try transport.openNow()
        #expect(channel.isSeekable)
        try channel.write(pattern(10_000))
        try channel.close()
        #expect(mode(directory.file("image")) == 0o600)
        #expect(try incoming(uri).readToEnd() == pattern(10_000))
    }

    @Test func `an existing file keeps its mode and is replaced`() throws {
        let directory = try TestDirectory()
        let path = directory.file("image")
        try create(path, pattern(5000))
        let channel = try outgoing("file:\(path)").openNow()
        #expect(channel.byteCount == 0)
        #expect(mode(path) == 0o644)
    }

    @Test func `an offset keeps what is before it and discards what is behind`() throws {
        let directory = try TestDirectory()
        let path = directory.file("image")
        try create(path, pattern(5000))
        let channel = try outgoing("file:\(path),offset=0x3e8").openNow()
        #expect(channel.byteCount == 1000)
        #expect(channel.position == 1000)
        try channel.write([1, 2, 3])
        try channel.close()
        #expect(try incoming("file:\(path)").readToEnd() == pattern(1000) + [1, 2, 3])
        #expect(try incoming("file:\(path),offset=1000").readToEnd() == [1, 2, 3])
    }

    @Test func `an offset behind the end leaves a hole`() throws {
        let directory = try TestDirectory()
        let channel = try outgoing("file:\(directory.file("image")),offset=1m").openNow()
        #expect(channel.byteCount == 1 << 20)
        #expect(channel.position == 1 << 20)
    }

    @Test func `opening a file once more discards nothing and begins at the offset`() throws {
        let directory = try TestDirectory()
        let transport = try outgoing("file:\(directory.file("image")),offset=100")
        let channel = try transport.openNow()
        try channel.write(pattern(900))
        let again = try transport.openAdditionalFile(isDirect: false)
        #expect(again.byteCount == 1000)
        #expect(again.position == 100)
        transport.abort()
        #expect(again.hasBeenAborted)
        #expect(throws: TransportError.self) {
            try outgoing("exec:true").openAdditionalFile(isDirect: false)
        }
    }

    @Test(arguments: [
        ("file:", "no such file or directory"),
        ("file:/nonexistent/x", "no such file or directory"),
        ("file:/", "is a directory"),
        ("file:/proc/self/status/x", "not a directory"),
        ("file:/dev/fdset/x", "'/dev/fdset/x' isn't of the form /dev/fdset/NUMBER"),
        ("file:/dev/fdset/7", "there is no fdset 7"),
        ("file:/dev/null,offset=1", "a character device has no offset 1"),
    ])
    func `what cannot be opened is named, both ways`(_ uri: String, _ reason: String) throws {
        let expected = "cannot open '\(uri)': \(reason)"
        #expect {
            try outgoing(uri).openNow()
        } throws: { "\($0)" == expected }
        #expect {
            try incoming(uri)
        } throws: { "\($0)" == expected }
    }

    @Test func `an offset that no file has creates nothing`() throws {
        let directory = try TestDirectory()
        let path = directory.file("image")
        #expect(throws: TransportError.self) {
            try outgoing("file:\(path),offset=9223372036854775808").openNow()
        }
        #expect(access(path, F_OK) != 0)
    }

    @Test func `a missing file is not created by reading it`() throws {
        let directory = try TestDirectory()
        let path = directory.file("image")
        #expect {
            try incoming("file:\(path)")
        } throws: { "\($0)" == "cannot open 'file:\(path)': no such file or directory" }
        #expect(access(path, F_OK) != 0)
    }

    @Test func `a device serves for a stream and is not cut off`() throws {
        let channel = try outgoing("file:/dev/null").openNow()
        #expect(!channel.isSeekable)
        try channel.write(pattern(100_000))
        try channel.close()
        let full = try outgoing("file:/dev/full").openNow()
        #expect {
            try full.write([1])
        } throws: { "\($0)" == "cannot write to 'file:/dev/full': no space left on device" }
    }

    @Test(arguments: ["/dev/null", "fifo"])
    func `what is not seekable is refused again when it has been opened`(_ name: String) throws {
        let directory = try TestDirectory()
        mkfifo(directory.file("fifo"), 0o600)
        let path = name == "fifo" ? directory.file("fifo") : name
        // A reader, so that the FIFO can be opened at all.
        let reader = try OwnedDescriptor.open(directory.file("fifo"), O_RDONLY | O_NONBLOCK)
        let kind = name == "fifo" ? "pipe" : "character device"
        #expect {
            try outgoing("file:\(path)", seeking: "mapped-ram").openNow()
        } throws: { error in
            "\(error)".hasPrefix(
                "cannot use capability 'mapped-ram' with 'file:\(path)': "
                    + "a \(kind) cannot be written at an offset; use file:PATH"
            )
        }
        _ = reader.raw
    }

    @Test func `a FIFO without a reader is an error, not a hang`() throws {
        let directory = try TestDirectory()
        mkfifo(directory.file("fifo"), 0o600)
        #expect {
            try outgoing("file:\(directory.file("fifo"))").openNow()
        } throws: { error in
            (error as? TransportError)?.hint == "if it is a pipe, start its reader first"
        }
    }

    @Test func `a FIFO carries a stream, and its reader waits for a writer`() throws {
        let directory = try TestDirectory()
        mkfifo(directory.file("fifo"), 0o600)
        let uri = "file:\(directory.file("fifo"))"
        let reader = try incoming(uri)
        let call = try BlockedCall { try reader.readToEnd() }
        let writer = try outgoing(uri).openNow()
        let bytes = pattern(200_000)
        try writer.write(bytes)
        try writer.close()
        #expect(try call.finish() == bytes)
    }

    @Test func `a set's descriptor is duplicated, cut off and used from the offset`() throws {
        let directory = try TestDirectory()
        let path = directory.file("image")
        try create(path, pattern(5000))
        let resources = TransportResources()
        _ = try resources.fdSets.add(
            OwnedDescriptor.open(path, O_WRONLY),
            set: 3,
            opaque: nil
        )
        let uri = "file:/dev/fdset/3,offset=10"
        let channel = try outgoing(uri, seeking: "mapped-ram", resources).openNow()
        #expect(channel.byteCount == 10)
        try channel.write([7])
        try channel.close()
        #expect(try incoming("file:\(path)").readToEnd() == pattern(10) + [7])
        #expect(resources.fdSets.query().map(\.id) == [3])
        #expect {
            try incoming(uri, resources)
        } throws: { error in
            "\(error)"
                == "cannot open '\(uri)': fdset 3 has no descriptor that was opened read-only"
        }
    }

    @Test func `direct access needs a descriptor of its own in the set`() throws {
        let directory = try TestDirectory()
        let path = directory.file("image")
        let resources = TransportResources()
        _ = try resources.fdSets.add(
            OwnedDescriptor.open(path, O_WRONLY | O_CREAT, mode: 0o600),
            set: 0,
            opaque: nil
        )
        let transport = try outgoing("file:/dev/fdset/0", resources)
        _ = try transport.openNow()
        #expect {
            try transport.openAdditionalFile(isDirect: true)
        } throws: { error in
            "\(error)".hasSuffix("fdset 0 has no descriptor that was opened write-only, O_DIRECT")
        }
        _ = try resources.fdSets.add(
            OwnedDescriptor.open(path, O_WRONLY, isDirect: true),
            set: 0,
            opaque: nil
        )
        #expect(try transport.openAdditionalFile(isDirect: true).isSeekable)
    }

    @Test(.enabled(if: LoopDevice.isAvailable, "needs root and a free loop device (losetup)"))
    func `a block device is used whole, from an offset and at any place`() throws {
        let directory = try TestDirectory()
        try create(directory.file("disk"), pattern(1 << 20))
        let device = try LoopDevice(directory.file("disk"))
        let uri = "file:\(device.path),offset=512"
        try MigrationAddress(uri: uri).require(
            .seekable,
            for: "mapped-ram",
            direction: .outgoing,
            resources: TransportResources()
        )
        let channel = try outgoing(uri, seeking: "mapped-ram").openNow()
        #expect(channel.objectKind == .blockDevice)
        #expect(channel.byteCount == 1 << 20)
        #expect(channel.position == 512)
        try channel.write([1, 2, 3])
        try [UInt8](repeating: 9, count: 4096).withUnsafeBytes {
            try channel.write(at: 8192, $0)
        }
        try channel.synchronize()
        #expect {
            try [UInt8](repeating: 9, count: 4096).withUnsafeBytes {
                try channel.write(at: (1 << 20) - 2048, $0)
            }
        } throws: { "\($0)" == "cannot write to '\(uri)': no space left on device" }
        try channel.close()
        var expected = pattern(1 << 20)
        expected.replaceSubrange(512..<515, with: [1, 2, 3])
        expected.replaceSubrange(8192..<12288, with: repeatElement(9, count: 4096))
        expected.replaceSubrange(((1 << 20) - 2048)..., with: repeatElement(9, count: 2048))
        #expect(try incoming("file:\(device.path)").readToEnd() == expected)
    }
}
