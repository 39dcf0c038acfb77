import BerthSystem
import Glibc
import Testing

@testable import BerthTransport

/// The table of transports in docs/transports.md, as data: what each kind of object can do.
@Suite(.timeLimit(.minutes(1)))
struct TransportTableTests {
    /// An object behind an address, made in a fresh directory.
    enum Object: String, CaseIterable {
        case newFile, regularFile, emptyPath, fifo, characterDevice, socketFile
        case fdSetOfRegularFile, fdSetOfPipe, fdSetOfAppendingFile
        case fdRegularFile, fdAppendingFile, fdPipe, fdSocket, fdCharacterDevice
        case exec, execList, tcp, unix, vsock, rdma
    }

    struct Row {
        let object: Object
        let seekable: Bool
        let bothWays: Bool
        let severalChannels: Bool
        let severalChannelsWithMappedRAM: Bool
        let streamable: Bool
    }

    static let file = (several: false, withMapped: true, stream: false)
    static let table: [Row] = [
        row(.newFile, seekable: true, bothWays: false, file),
        row(.regularFile, seekable: true, bothWays: false, file),
        // Nothing can be said about a path that can't be: opening it tells.
        row(.emptyPath, seekable: true, bothWays: false, file),
        row(.fifo, seekable: false, bothWays: false, file),
        row(.characterDevice, seekable: false, bothWays: false, file),
        row(.socketFile, seekable: false, bothWays: false, file),
        row(.fdSetOfRegularFile, seekable: true, bothWays: false, file),
        row(.fdSetOfPipe, seekable: false, bothWays: false, file),
        row(.fdSetOfAppendingFile, seekable: false, bothWays: false, file),
        row(.fdRegularFile, seekable: true, bothWays: false, (false, false, true)),
        row(.fdAppendingFile, seekable: false, bothWays: false, (false, false, true)),
        row(.fdPipe, seekable: false, bothWays: false, (false, false, true)),
        row(.fdSocket, seekable: false, bothWays: true, (false, false, true)),
        row(.fdCharacterDevice, seekable: false, bothWays: false, (false, false, true)),
        row(.exec, seekable: false, bothWays: false, (false, false, true)),
        row(.execList, seekable: false, bothWays: false, (false, false, true)),
        row(.tcp, seekable: false, bothWays: true, (true, true, true)),
        row(.unix, seekable: false, bothWays: true, (true, true, true)),
        row(.vsock, seekable: false, bothWays: true, (true, true, true)),
        row(.rdma, seekable: false, bothWays: false, (false, false, true)),
    ]

    static func row(
        _ object: Object,
        seekable: Bool,
        bothWays: Bool,
        _ rest: (several: Bool, withMapped: Bool, stream: Bool)
    ) -> Row {
        Row(
            object: object,
            seekable: seekable,
            bothWays: bothWays,
            severalChannels: rest.several,
            severalChannelsWithMappedRAM: rest.withMapped,
            streamable: rest.stream
        )
    }

    /// Objects for the addresses of one test.
    final class World {
        let directory: TestDirectory
        let fdSets = FDSets()
        private var named: [String: OwnedDescriptorBox] = [:]

        init() throws {
            directory = try TestDirectory()
            _ = try OwnedDescriptor.open(directory.file("regular"), O_CREAT | O_RDWR, mode: 0o600)
            mkfifo(directory.file("fifo"), 0o600)
            _ = try UnixSocketFile.listen(at: directory.file("socket")).file
            let file = try OwnedDescriptor.open(directory.file("regular"), O_WRONLY)
            named["file"] = OwnedDescriptorBox(try file.duplicate())
            _ = try fdSets.add(file, set: 1, opaque: nil)
            _ = try fdSets.add(OwnedDescriptor.pipe().takeSecond(), set: 2, opaque: nil)
            let log = try OwnedDescriptor.open(directory.file("regular"), O_WRONLY | O_APPEND)
            named["log"] = OwnedDescriptorBox(try log.duplicate())
            _ = try fdSets.add(log, set: 3, opaque: nil)
            named["pipe"] = OwnedDescriptorBox(try OwnedDescriptor.pipe().takeSecond())
            named["socket"] = OwnedDescriptorBox(try Sockets.pair().takeSecond())
            named["null"] = OwnedDescriptorBox(try OwnedDescriptor.open("/dev/null", O_WRONLY))
        }

        func address(_ object: Object) -> MigrationAddress {
            switch object {
            case .newFile: .file(path: directory.file("new"), offset: 0)
            case .regularFile: .file(path: directory.file("regular"), offset: 0)
            case .emptyPath: .file(path: "", offset: 0)
            case .fifo: .file(path: directory.file("fifo"), offset: 0)
            case .characterDevice: .file(path: "/dev/null", offset: 0)
            case .socketFile: .file(path: directory.file("socket"), offset: 0)
            case .fdSetOfRegularFile: .file(path: "/dev/fdset/1", offset: 0)
            case .fdSetOfPipe: .file(path: "/dev/fdset/2", offset: 0)
            case .fdSetOfAppendingFile: .file(path: "/dev/fdset/3", offset: 0)
            case .fdRegularFile: .fd("file")
            case .fdAppendingFile: .fd("log")
            case .fdPipe: .fd("pipe")
            case .fdSocket: .fd("socket")
            case .fdCharacterDevice: .fd("null")
            case .exec: .exec(["/bin/sh", "-c", "echo > \(directory.file("started"))"])
            case .execList: .exec(["/bin/touch", directory.file("started")])
            case .tcp: .tcp(.init(host: "127.0.0.1", port: "1"))
            case .unix: .unix(.init(path: directory.file("socket")))
            case .vsock: .vsock(cid: "2", port: "1")
            case .rdma: .rdma(.init(host: "127.0.0.1", port: "1"))
            }
        }

        var resources: TransportResources {
            let named = named
            return TransportResources(
                fdSets: fdSets,
                look: { try? named[$0]?.duplicate() },
                take: { named[$0]?.take() }
            )
        }

        var files: Set<String> {
            Set(["new", "regular", "started"].filter { access(directory.file($0), F_OK) == 0 })
        }

        var stillHeld: Set<String> { Set(named.filter { $0.value.raw != nil }.keys) }
    }

    @Test func `every object is in the table once`() {
        #expect(Self.table.map(\.object.rawValue) == Object.allCases.map(\.rawValue))
    }

    @Test(arguments: table)
    func `each transport serves what the table says and touches nothing`(_ row: Row) throws {
        let world = try World()
        let address = world.address(row.object)
        let needs: [(TransportNeed, Bool)] = [
            (.seekable, row.seekable),
            (.bidirectional, row.bothWays),
            (.severalChannels(withMappedRAM: false), row.severalChannels),
            (.severalChannels(withMappedRAM: true), row.severalChannelsWithMappedRAM),
            (.streamable, row.streamable),
        ]
        for (need, isServed) in needs {
            var failure: TransportError?
            do {
                try address.require(
                    need,
                    for: "some-capability",
                    direction: .outgoing,
                    resources: world.resources
                )
            } catch {
                failure = error
            }
            #expect((failure == nil) == isServed, "\(need)")
            guard let failure else { continue }
            // The capability, the transport and what would do instead.
            let text = failure.description
            #expect(
                text.hasPrefix(
                    "cannot use some-capability with '\(address.description)': "
                )
            )
            #expect(text.hasSuffix(need.transportsThatServe))
        }
        #expect(world.files == ["regular"])
        #expect(world.stillHeld == ["file", "log", "pipe", "socket", "null"])
        #expect(world.fdSets.query().map(\.id) == [3, 2, 1])
    }

    @Test func `a block device is seekable without being opened`() throws {
        let devices = ["/dev/loop0", "/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/ram0"]
        let kinds = try devices.filter { access($0, F_OK) == 0 }.map { device in
            try MigrationAddress.file(path: device, offset: 0).require(
                .seekable,
                for: "mapped-ram",
                direction: .outgoing,
                resources: TransportResources()
            )
            return try FileStatus(path: device).kind
        }
        #expect(kinds.allSatisfy { $0 == .blockDevice })
    }

    @Test func `a number names an inherited descriptor for incoming migrations only`() throws {
        let pipe = try OwnedDescriptor.pipe()
        _ = fcntl(pipe.first.raw, F_SETFD, 0)
        let address = MigrationAddress.fd("\(pipe.first.raw)")
        let resources = TransportResources()
        #expect(throws: TransportError.self) {
            try address.require(
                .seekable,
                for: "mapped-ram",
                direction: .incoming,
                resources: resources
            )
        }
        // Outgoing it is a name that nobody holds: opening it says so.
        try address.require(
            .seekable,
            for: "mapped-ram",
            direction: .outgoing,
            resources: resources
        )
    }
}
