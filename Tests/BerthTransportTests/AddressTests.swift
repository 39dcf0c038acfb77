import Testing

@testable import BerthTransport

struct AddressTests {
    static let valid: [(String, MigrationAddress)] = [
        ("tcp:host:4444", .tcp(.init(host: "host", port: "4444"))),
        ("tcp::4444", .tcp(.init(host: "", port: "4444"))),
        ("tcp:0:0", .tcp(.init(host: "0", port: "0"))),
        ("tcp:host:service", .tcp(.init(host: "host", port: "service"))),
        ("tcp:[::1]:4444", .tcp(.init(host: "::1", port: "4444"))),
        ("tcp:[fe80::1%lo]:4444", .tcp(.init(host: "fe80::1%lo", port: "4444"))),
        ("tcp:h:1,to=9", .tcp(.init(host: "h", port: "1", lastPort: 9))),
        ("tcp:h:1,ipv4", .tcp(.init(host: "h", port: "1", ipv4: true))),
        ("tcp:h:1,ipv4=on,ipv6=off", .tcp(.init(host: "h", port: "1", ipv4: true, ipv6: false))),
        ("tcp:h:1,keep-alive", .tcp(.init(host: "h", port: "1", keepAlive: true))),
        ("tcp:h:1,keep-alive=off,mptcp=on", .tcp(.init(host: "h", port: "1", isMultipath: true))),
        // Unknown options are passed over, wherever they are.
        ("tcp:h:1,colour=red,to=2,x", .tcp(.init(host: "h", port: "1", lastPort: 2))),
        ("unix:/run/a,b:c", .unix(.init(path: "/run/a,b:c"))),
        ("unix:relative", .unix(.init(path: "relative"))),
        ("vsock:3:1234", .vsock(cid: "3", port: "1234")),
        // Whether these are numbers is seen when the socket is opened.
        ("vsock:x:y", .vsock(cid: "x", port: "y")),
        ("fd:mig", .fd("mig")),
        ("fd:7", .fd("7")),
        ("exec:cat > /x", .exec(["/bin/sh", "-c", "cat > /x"])),
        ("exec:", .exec(["/bin/sh", "-c", ""])),
        ("exec:a:b,offset=1", .exec(["/bin/sh", "-c", "a:b,offset=1"])),
        ("file:/a/b", .file(path: "/a/b", offset: 0)),
        ("file:a,b", .file(path: "a,b", offset: 0)),
        ("file:", .file(path: "", offset: 0)),
        ("file:/a,offset=0x1000", .file(path: "/a", offset: 4096)),
        ("file:/a,b,offset=4k", .file(path: "/a,b", offset: 4096)),
        ("file:/dev/fdset/3,offset=1", .file(path: "/dev/fdset/3", offset: 1)),
        ("file:/ä b,offset=12", .file(path: "/ä b", offset: 12)),
        ("rdma:host:4444", .rdma(.init(host: "host", port: "4444"))),
    ]

    @Test(arguments: valid)
    func `a URI is read`(_ uri: String, _ expected: MigrationAddress) throws {
        #expect(try MigrationAddress(uri: uri) == expected)
    }

    @Test(arguments: [
        "", "defer", "host:4444", "TCP:host:4444", " tcp:host:1", "tcp", "nbd:x",
        "tcp:", "tcp:host", "tcp:host:", "tcp::", "tcp:[::1]", "tcp:[::1]4444", "tcp:[]:1",
        "tcp:host:,to=5", "tcp:h:1,to=", "tcp:h:1,to", "tcp:h:1,to=x", "tcp:h:1,to=-1",
        "tcp:h:1,to=65536", "tcp:h:1,ipv4=yes", "tcp:h:1,ipv6=", "tcp:h:1,keep-alive=ON",
        "tcp:\(String(repeating: "h", count: 65)):1",
        "tcp:h:\(String(repeating: "1", count: 33))",
        "tcp:[\(String(repeating: "1", count: 65))]:1",
        "unix:", "vsock:", "vsock:3", "vsock::1", "vsock:3:", "vsock:1:2:3", "vsock:3:4,x", "fd:",
        "file:/a,offset=", "file:/a,offset=x", "file:/a,offset=4KiB", "file:/a,offset=-1",
        "file:/a,offset=1,offset=2", "rdma:", "rdma:h",
    ])
    func `a malformed URI is refused and named`(_ uri: String) {
        #expect {
            try MigrationAddress(uri: uri)
        } throws: { error in
            "\(error)".hasPrefix("cannot use the address '\(uri)': ")
        }
    }

    @Test(
        arguments: [
            ("0", 0), ("1", 1), ("007", 7), ("18446744073709551615", UInt64.max),
            ("0x0", 0), ("0xFf", 255), ("0XffffffffffffffFF", UInt64.max), ("0x1e", 30),
            ("0x1b", 27),
            ("5b", 5), ("5B", 5), ("1k", 1024), ("1K", 1024), ("2m", 2 << 20), ("3G", 3 << 30),
            ("4t", 4 << 40), ("5P", 5 << 50), ("15e", 15 << 60), ("1.5k", 1536),
            ("0.5M", 512 << 10),
            (".5k", 512), ("12.k", 12288), ("12.345M", 12_944_670),
            ("0.00000000000000000000000000001e", 0),
            ("1.999999999999999999999999999k", 2047),
        ] as [(Substring, UInt64)]
    )
    func `a size is read`(_ text: Substring, _ expected: UInt64) {
        #expect(ByteSize.parse(text) == expected)
    }

    @Test(
        arguments: [
            "", " 1", "1 ", "+1", "-1", "-0", "0x", "0x-1", "0x1k", "0x1.8", "1.5", "1.5b", ".",
            ".k",
            "k", "1kb", "4KiB", "1e3", "1,0", "16e", "18446744073709551616", "0x10000000000000000",
            "１", "1٣", "nan", "inf", "1..5k",
        ] as [Substring]
    )
    func `what is no size is refused`(_ text: Substring) {
        #expect(ByteSize.parse(text) == nil)
    }

    @Test(arguments: [
        "tcp:host:4444", "tcp:[::1]:4444", "unix:/run/a", "vsock:3:1234", "fd:mig", "exec:cat > /x",
        "file:/a/b", "file:/a,offset=4096",
    ])
    func `an address is shown as it was written`(_ uri: String) throws {
        #expect(try MigrationAddress(uri: uri).description == uri)
    }

    @Test func `other forms are shown so that they are recognised`() {
        #expect(MigrationAddress.exec(["/bin/cat", "x"]).description == "exec:/bin/cat x")
        #expect(
            MigrationAddress.unix(.init(path: "n", isAbstract: true)).description == "unix:@n"
        )
    }
}
