import BerthJSON
import BerthQAPI
import Testing

/// The same types, read from the languages of the command line, where every scalar is a string.
@Suite struct CommandLineSpellingTests {
    private func backend(_ changes: JSONObject) throws -> MemoryBackendProperties {
        var object: JSONObject = [
            "qom-type": .string("memory-backend-ram"), "id": .string("m"), "size": .string("64M"),
        ]
        for (key, value) in changes { object[key] = value }
        let options = try ObjectOptions(checking: object, spelling: .options)
        guard case .memoryBackendRAM(let properties) = options.variant else {
            throw QMPError("another type")
        }
        return properties
    }

    private func failure(_ changes: JSONObject) throws -> String? {
        do {
            _ = try backend(changes)
            return nil
        } catch let error as QMPError {
            return error.desc
        }
    }

    @Test func `options are strings, and those that are repeated are lists`() throws {
        let properties = try backend([
            "share": .string("on"), "prealloc-threads": .string("0x4"),
            "host-nodes": .array([.string("0"), .string("2")]), "merge": .string("n"),
        ])
        #expect(properties.size == 64 << 20)
        #expect(properties.share == true)
        #expect(properties.preallocThreads == 4)
        #expect(properties.hostNodes == [0, 2])
        #expect(!properties.merge)
        #expect(try backend(["host-nodes": .string("1")]).hostNodes == [1])
        #expect(try backend(["host-nodes": .string("1-3")]).hostNodes == [1, 2, 3])
        #expect(try backend(["size": .array([.string("1M"), .string("2M")])]).size == 2 << 20)
    }

    @Test(arguments: [
        ("size", "abc", "Parameter 'size' expects a size value"),
        ("share", "1", "Parameter 'share' expects 'on' or 'off'"),
        ("share", "ON", "Parameter 'share' expects 'on' or 'off'"),
        ("foo", "1", "Invalid parameter 'foo'"),
        ("policy", "bogus", "Parameter 'policy' does not accept value 'bogus'"),
        ("prealloc-threads", "two", "Parameter 'prealloc-threads' expects a uint64 value"),
        ("host-nodes", "abc", "Parameter 'host-nodes' expects a uint64 value or range"),
        ("host-nodes", "3-1", "Parameter 'host-nodes' expects a uint64 value or range"),
        ("host-nodes", "0-70000", "Parameter 'host-nodes' expects a uint64 value or range"),
        ("host-nodes", "70000", "Parameter 'null' expects uint16_t"),
    ])
    func `a wrong option is named in QEMU's words`(name: String, value: String, text: String) throws
    {
        #expect(try failure([name: .string(value)]) == text)
    }

    @Test func `dotted keys are objects of strings`() throws {
        let channel = try MigrationChannel(
            checking: [
                "channel-type": .string("main"),
                "addr": .object([
                    "transport": .string("file"), "filename": .string("/f"),
                    "offset": .string("0x1000"),
                ]),
            ],
            spelling: .keyval
        )
        #expect(channel.addr == .file(FileMigrationArgs(filename: "/f", offset: 4096)))
    }

    @Test func `dotted keys have texts of their own`() throws {
        func failure(_ offset: JSONValue) -> String? {
            do {
                _ = try MigrationChannel(
                    checking: [
                        "channel-type": .string("main"),
                        "addr": .object([
                            "transport": .string("file"), "filename": .string("/f"),
                            "offset": offset,
                        ]),
                    ],
                    spelling: .keyval
                )
                return nil
            } catch {
                return error.desc
            }
        }
        #expect(failure(.string("x")) == "Parameter 'addr.offset' expects integer")
        #expect(failure(.string("-1")) == "Parameter 'addr.offset' expects integer")
        #expect(failure(.string("")) == "Parameter 'addr.offset' expects integer")
        #expect(failure(.string("0x")) == "Parameter 'addr.offset' expects integer")
        #expect(failure(.string("+-1")) == "Parameter 'addr.offset' expects integer")
        #expect(
            failure(.object(["a": .string("1")])) == "Parameters 'addr.offset.*' are unexpected"
        )
        #expect(failure(.string("010")) == nil)
    }

    @Test(
        arguments: [
            ("0", 0), ("4096", 4096), ("64k", 65536), ("64K", 65536), ("1.5G", 1_610_612_736),
            ("0x1000", 4096), ("0XfF", 255), ("7b", 7), ("0.5k", 512), ("1.k", 1024), ("2.0", 2),
            ("15E", 15 << 60), ("18446744073709551615", .max), ("1t", 1 << 40), ("1P", 1 << 50),
        ] as [(String, UInt64)]
    )
    func `sizes are read`(text: String, bytes: UInt64) {
        #expect(SizeText.parse(text) == bytes)
    }

    @Test(arguments: [
        "", "k", "-1", "+1", " 1", "1 ", "4KiB", "0x1k", "1.5", "1.5b", "64.5", "16E", "1e3",
        "18446744073709551616", "0x", "0xg", "0x1.8", "64Q", ".5k", "1..5k", "17.5E", "1kk",
    ])
    func `and what isn't a size isn't`(text: String) {
        #expect(SizeText.parse(text) == nil)
    }

    @Test func `a unit counts for numbers without suffix only`() {
        #expect(SizeText.parse("64", unit: 1 << 20) == 64 << 20)
        #expect(SizeText.parse("64k", unit: 1 << 20) == 64 << 10)
        #expect(SizeText.parse("0x10", unit: 1 << 20) == 16 << 20)
    }
}
