import Glibc
import Synchronization
import Testing

@testable import BerthSystem

/// Threads that follow the memory they work on, from node to node.
@Suite(.timeLimit(.minutes(1)))
struct NUMANodesTests {
    // MARK: Lists

    @Test(arguments: [
        ("0-3,8,10-11\n", [0..<4, 8..<9, 10..<12]),
        ("0\n", [0..<1]),
        ("0-3,4", [0..<4, 4..<5]),
        ("8191", [8191..<8192]),
        ("\n", []),
        ("", []),
    ])
    func `a list as the kernel writes it is read`(_ text: String, _ numbers: [Range<Int>]) {
        #expect(Self.parse(text) == numbers)
    }

    @Test(arguments: [
        "a", "0-", "-1", "3-1", ",", "0,,1", "0,", "0-1-2", "+1", " 0", "0 1", "0x1", "1,0",
        "0-3,2", "0\n\n", "0\0", "8192", "0-8192", "18446744073709551616", "0-9223372036854775807",
    ])
    func `what is no list isn't read`(_ text: String) {
        #expect(Self.parse(text) == nil)
    }

    private static func parse(_ text: some StringProtocol, limit: Int = 8192) -> [Range<Int>]? {
        NUMANodes.parse(Array(text.utf8)[...], limit: limit)
    }

    // MARK: Nodes

    /// Pretended files about nodes, removed in the end.
    private final class Files {
        private let directory: TestDirectory
        private let nodes: [Int]
        var path: String { directory.path }

        /// - Parameter nodes: what the files `cpulist` say.
        init(online: String, _ nodes: [Int: String]) throws {
            directory = try TestDirectory()
            self.nodes = Array(nodes.keys)
            try write("online", online)
            for (node, list) in nodes {
                #expect(mkdir(directory.file("node\(node)"), 0o700) == 0)
                try write("node\(node)/cpulist", list)
            }
        }

        deinit {
            for node in nodes {
                unlink(directory.file("node\(node)/cpulist"))
                rmdir(directory.file("node\(node)/cpulist"))
                rmdir(directory.file("node\(node)"))
            }
        }

        func write(_ name: String, _ text: String) throws {
            let file = try OwnedDescriptor.open(
                directory.file(name),
                O_CREAT | O_WRONLY | O_TRUNC,
                mode: 0o600
            )
            try writeAll(file.raw, Array(text.utf8))
        }

        /// Puts something else in the place of a node's list.
        func replaceList(ofNode node: Int, _ make: (String) -> CInt) {
            let path = directory.file("node\(node)/cpulist")
            #expect(unlink(path) == 0)
            #expect(make(path) == 0)
        }
    }

    @Test func `two nodes with CPUs are something to choose from`() throws {
        let files = try Files(online: "0,2\n", [0: "0-3\n", 2: "4-7\n"])
        #expect(NUMANodes(directory: files.path) != nil)
        // A third one with memory only takes nothing away.
        let more = try Files(online: "0-2\n", [0: "0-3\n", 1: "\n", 2: "4-7\n"])
        #expect(NUMANodes(directory: more.path) != nil)
    }

    @Test(arguments: [
        ("0\n", [0: "0-1\n"]),
        // One has memory only.
        ("0-1\n", [0: "0-1\n", 1: "\n"]),
        ("\n", [:]),
        ("0-1\n", [0: "0\n"]),
        ("0-1\n", [0: "0\n", 1: "one\n"]),
        ("0-1\n", [0: "0\n", 1: "8192\n"]),
        ("0-99999999999\n", [0: "0\n", 1: "1\n"]),
        ("zero\n", [0: "0\n", 1: "1\n"]),
    ])
    func `one node, or files that can't be right, are nothing`(
        _ online: String,
        _ nodes: [Int: String]
    ) throws {
        let files = try Files(online: online, nodes)
        #expect(NUMANodes(directory: files.path) == nil)
    }

    @Test func `a host without such files is nothing`() throws {
        let empty = try TestDirectory()
        #expect(NUMANodes(directory: empty.path) == nil)
        #expect(NUMANodes(directory: empty.file("none")) == nil)
    }

    @Test func `what is no file is nothing, and keeps nobody`() throws {
        let files = try Files(online: "0-1\n", [0: "0\n", 1: "1\n"])
        #expect(NUMANodes(directory: files.path) != nil)
        files.replaceList(ofNode: 1) { mkfifo($0, 0o600) }
        #expect(NUMANodes(directory: files.path) == nil)
        files.replaceList(ofNode: 1) { symlink("/dev/zero", $0) }
        #expect(NUMANodes(directory: files.path) == nil)
        files.replaceList(ofNode: 1) { mkdir($0, 0o700) }
        #expect(NUMANodes(directory: files.path) == nil)
    }

    // MARK: Pages

    @Test func `the node of a page is told, and no page brought in to tell it`() throws {
        let page = MemoryMapping.hostPageByteCount
        let memory = try MemoryMapping.memfd(name: "test", byteCount: 2 * page)
        let address = UInt(bitPattern: memory.base)
        #expect(NUMANodes.nodeOfPage(address) == nil)
        var resident: UInt8 = 0
        #expect(mincore(memory.base, page, &resident) == 0 && resident & 1 == 0)
        #expect(NUMANodes.nodeOfPage(0) == nil)

        memory.bytes[page + 1] = 1
        errno = 0
        let found = NUMANodes.nodeOfPage(address + UInt(page) + 1)
        if found == nil, errno == EPERM || errno == ENOSYS {
            try Test.cancel("move_pages isn't to be had here: run with CAP_SYS_NICE")
        }
        let node = try #require(found)
        let path = "/sys/devices/system/node/online"
        let online = try #require(try Self.parse(contents(of: path)))
        #expect(online.joined().contains(node))
        #expect(NUMANodes.nodeOfPage(address) == nil)
    }

    // MARK: Following

    /// Where the kernel says that the calling thread may run.
    private static func allowed() throws -> [Int] {
        let status = try contents(of: "/proc/thread-self/status")
        let line = try #require(
            status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") }
        )
        let list = line.drop { !$0.isNumber }
        let cpus = try Array(#require(parse(list)).joined())
        // The same from sched_getaffinity.
        #expect(CPUSet.ofThisThread == CPUSet(cpus.map { $0..<$0 + 1 }))
        return cpus
    }

    private static var hasSeveralCPUs: Bool { (try? allowed().count) ?? 0 > 1 }

    /// Two of this host's CPUs, pretended to be node 0 and node 1.
    private struct Pretended: Sendable {
        let cpus: [Int]
        let nodes: NUMANodes
        let askedCount: Arc<Atomic<Int>>

        init() throws {
            let cpus = Array(try allowed().prefix(2))
            let files = try Files(online: "0-1\n", [0: "\(cpus[0])\n", 1: "\(cpus[1])\n"])
            let askedCount = Arc(Atomic(0))
            nodes = try #require(
                NUMANodes(directory: files.path) { address in
                    askedCount.value.add(1, ordering: .relaxed)
                    return Place(rawValue: address)?.node
                }
            )
            self.cpus = cpus
            self.askedCount = askedCount
        }
    }

    /// Addresses that are only compared.
    private enum Place: UInt {
        case onNode0 = 0x1000
        case onNode1 = 0x2000
        case nowhere = 0x3000
        case onUnknownNode = 0x4000

        var node: Int? {
            switch self {
            case .onNode0: 0
            case .onNode1: 1
            case .nowhere: nil
            case .onUnknownNode: 7
            }
        }

        func pointer() throws -> UnsafeRawPointer {
            try #require(UnsafeRawPointer(bitPattern: rawValue))
        }
    }

    @Test(.enabled(if: hasSeveralCPUs, "needs two CPUs that this process may use"))
    func `a thread goes where the pages are`() throws {
        let host = try Pretended()
        let before = try Self.allowed()
        try BlockedCall {
            var follower = NUMANodes.Follower(host.nodes)
            #expect(try Self.allowed() == before)
            // No page yet, or on a node that wasn't there: the thread stays.
            try follower.follow(Place.nowhere.pointer())
            try follower.follow(Place.onUnknownNode.pointer())
            #expect(try Self.allowed() == before)

            try follower.follow(Place.onNode1.pointer())
            #expect(try Self.allowed() == [host.cpus[1]])
            try follower.follow(Place.nowhere.pointer())
            try follower.follow(Place.onUnknownNode.pointer())
            #expect(try Self.allowed() == [host.cpus[1]])
            // Not caught on the CPUs of the first node that it followed to.
            try follower.follow(Place.onNode0.pointer())
            #expect(try Self.allowed() == [host.cpus[0]])
            try follower.follow(Place.onNode1.pointer())
            #expect(try Self.allowed() == [host.cpus[1]])
            #expect(host.askedCount.value.load(ordering: .relaxed) == 7)
        }.finish()
        #expect(try Self.allowed() == before)
    }

    @Test(.enabled(if: hasSeveralCPUs, "needs two CPUs that this process may use"))
    func `a thread is moved only when the node changes`() throws {
        let host = try Pretended()
        try BlockedCall {
            var follower = NUMANodes.Follower(host.nodes)
            try follower.follow(Place.onNode0.pointer())
            // What somebody else sets stays for as long as the node does.
            CPUSet([host.cpus[1]..<host.cpus[1] + 1]).useForThisThread()
            try follower.follow(Place.onNode0.pointer())
            #expect(try Self.allowed() == [host.cpus[1]])
        }.finish()
    }

    @Test(.enabled(if: hasSeveralCPUs, "needs two CPUs that this process may use"))
    func `a thread never runs where it wasn't allowed to`() throws {
        let host = try Pretended()
        try BlockedCall {
            CPUSet([host.cpus[0]..<host.cpus[0] + 1]).useForThisThread()
            var follower = NUMANodes.Follower(host.nodes)
            try follower.follow(Place.onNode1.pointer())
            #expect(try Self.allowed() == [host.cpus[0]])
            try follower.follow(Place.onNode0.pointer())
            try follower.follow(Place.onNode1.pointer())
            #expect(try Self.allowed() == [host.cpus[0]])
        }.finish()
    }

    @Test func `on one node a thread stays as it is`() throws {
        let before = try Self.allowed()
        try BlockedCall {
            var follower = NUMANodes.Follower(nil)
            try follower.follow(Place.onNode1.pointer())
            #expect(try Self.allowed() == before)
        }.finish()
    }

    @Test func `on this host a thread stays on CPUs that it was allowed`() throws {
        let memory = try MemoryMapping.anonymous(byteCount: 1)
        memory.bytes[0] = 1
        let before = try Self.allowed()
        try BlockedCall {
            var follower = NUMANodes.Follower()
            follower.follow(memory.base)
            let after = try Self.allowed()
            #expect(!after.isEmpty && Set(after).isSubset(of: before))
            if NUMANodes.host == nil { #expect(after == before) }
        }.finish()
    }
}
