internal import CBerthLinux
internal import Glibc

/// The NUMA nodes of a host with more than one, and which CPUs belong to each.
///
/// Based on `/sys/devices/system/node` and move_pages(2).
public struct NUMANodes: Sendable {
    /// This host's nodes; nil where there is nothing to choose.
    ///
    /// Read once, at the first use.
    static let host = NUMANodes(directory: "/sys/devices/system/node")

    private let cpus: [Int: CPUSet]
    /// Which node has the page at an address; nil if no page is there.
    private let nodeOfPage: @Sendable (UInt) -> Int?

    /// Reads the nodes.
    ///
    /// - Parameter directory: has the files `online` and `nodeN/cpulist`.
    /// - Returns: nil if fewer than two nodes have CPUs, or if a file is missing or isn't what it
    ///   should be.
    init?(directory: String) {
        self.init(directory: directory, nodeOfPage: Self.nodeOfPage)
    }

    /// Reads the nodes; `nodeOfPage` says which of them has the page at an address.
    init?(directory: String, nodeOfPage: @escaping @Sendable (UInt) -> Int?) {
        guard let online = Self.list("\(directory)/online", limit: Self.nodeLimit) else {
            return nil
        }
        let nodes = online.joined()
        // Tells the hosts with one node without another file.
        guard nodes.count > 1 else { return nil }
        var cpus: [Int: CPUSet] = [:]
        for node in nodes {
            let path = "\(directory)/node\(node)/cpulist"
            guard let list = Self.list(path, limit: CPUSet.limit) else { return nil }
            // A node without CPUs has memory only: no thread can run there.
            guard !list.isEmpty else { continue }
            cpus[node] = CPUSet(list)
        }
        guard cpus.count > 1 else { return nil }
        self.cpus = cpus
        self.nodeOfPage = nodeOfPage
    }

    /// The node that has the page at an address; nil if no page is there, or the kernel doesn't tell.
    static func nodeOfPage(_ address: UInt) -> Int? {
        let node = Int(berth_page_node(address))
        return node >= 0 ? node : nil
    }

    // MARK: Files

    /// Nodes are numbered below: the most that the kernel is built for (`MAX_NUMNODES`).
    private static let nodeLimit = 1024
    /// Room for the longest list there can be: each second of 8192 CPUs.
    private static let fileByteLimit = 32 << 10

    private static func list(_ path: String, limit: Int) -> [Range<Int>]? {
        // A pipe in the file's place must not keep the thread.
        guard let file = try? OwnedDescriptor.open(path, O_RDONLY | O_NONBLOCK) else { return nil }
        var bytes = [UInt8](repeating: 0, count: fileByteLimit)
        var fill = 0
        while fill < bytes.count {
            let (count, _) = SystemCall.uninterrupted {
                unsafe bytes.withUnsafeMutableBytes { bytes in
                    unsafe read(
                        file.raw,
                        bytes.baseAddress.map { unsafe $0 + fill },
                        bytes.count - fill
                    )
                }
            }
            guard count >= 0 else { return nil }
            if count == 0 { return parse(bytes[..<fill], limit: limit) }
            fill += count
        }
        return nil
    }

    /// Reads a list of numbers as the kernel writes it, such as `0-3,8,10-11` and a line feed.
    ///
    /// - Parameter limit: numbers are below.
    /// - Returns: in ascending order; empty for a list of nothing, nil for what is no list.
    static func parse(_ text: ArraySlice<UInt8>, limit: Int) -> [Range<Int>]? {
        var text = text
        if text.last == UInt8(ascii: "\n") { text = text.dropLast() }
        guard !text.isEmpty else { return [] }
        var ranges: [Range<Int>] = []
        for part in text.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            let ends = part.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
            guard ends.count <= 2, let first = ends.first.flatMap(number),
                let last = ends.last.flatMap(number),
                first <= last, last < limit, first >= ranges.last?.upperBound ?? 0
            else { return nil }
            ranges.append(first..<last + 1)
        }
        return ranges
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        // `Int` would take a sign.
        guard digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else { return nil }
        return Int(String(decoding: digits, as: UTF8.self))
    }

    // MARK: Following

    /// Keeps the thread that owns it on the node whose memory it works on.
    ///
    /// Does nothing, and asks nothing, on hosts with one node.
    public struct Follower: ~Copyable {
        private let nodes: NUMANodes?
        /// The node of the last page that was found.
        private var node: Int?
        /// Where the thread might run before it was moved for the first time.
        private var allowed: CPUSet?

        /// Makes a follower for one thread, which moves at the first `follow`.
        public init() {
            self.init(NUMANodes.host)
        }

        init(_ nodes: NUMANodes?) {
            self.nodes = nodes
        }

        /// Has the calling thread run where the page at an address is, on those CPUs of that node
        /// that were allowed to it from the start.
        ///
        /// A wish: the thread stays where it is if no page is there yet, if none of the node's CPUs
        /// is allowed, or if the kernel refuses. The page isn't touched.
        ///
        /// - Parameter address: in memory of this process; need not be the start of a page.
        public mutating func follow(_ address: UnsafeRawPointer) {
            guard let nodes else { return }
            move(nodes, nodes.nodeOfPage(UInt(bitPattern: address)))
        }

        private mutating func move(_ nodes: NUMANodes, _ found: Int?) {
            guard let found, found != node else { return }
            node = found
            allowed = allowed ?? .ofThisThread
            guard let cpus = nodes.cpus[found], let allowed else { return }
            cpus.intersection(allowed).useForThisThread()
        }
    }
}

/// A set of CPUs as the kernel takes it: a bit for each.
struct CPUSet: Sendable, Equatable {
    /// CPUs are numbered below: the most that the kernel is built for (`NR_CPUS` on x86).
    static let limit = 8192

    private var words: [CUnsignedLong]

    /// Makes a set of CPUs below `limit`.
    init(_ ranges: [Range<Int>]) {
        words = Array(repeating: 0, count: Self.limit / CUnsignedLong.bitWidth)
        for cpu in ranges.joined() {
            words[cpu / CUnsignedLong.bitWidth] |= 1 << (cpu % CUnsignedLong.bitWidth)
        }
    }

    /// Those that are in both.
    func intersection(_ other: CPUSet) -> CPUSet {
        var result = self
        for index in words.indices { result.words[index] &= other.words[index] }
        return result
    }

    /// Where the calling thread may run; nil if the kernel has even more CPUs.
    ///
    /// The corresponding C function is `sched_getaffinity`.
    static var ofThisThread: CPUSet? {
        var set = CPUSet([])
        let result = unsafe set.words.withUnsafeMutableBytes { bytes in
            unsafe berth_thread_get_cpus(
                bytes.bindMemory(to: CUnsignedLong.self).baseAddress,
                bytes.count
            )
        }
        return result == 0 ? set : nil
    }

    /// Has the calling thread run only there, unless the kernel refuses; an empty set is refused.
    ///
    /// The corresponding C function is `sched_setaffinity`.
    func useForThisThread() {
        _ = unsafe words.withUnsafeBytes { bytes in
            unsafe berth_thread_set_cpus(
                bytes.bindMemory(to: CUnsignedLong.self).baseAddress,
                bytes.count
            )
        }
    }
}
