public import BerthSystem
import Glibc

/// Where a piece of guest memory comes from: what `-object memory-backend-*` says.
public struct MemoryBackend: Sendable, Equatable {
    /// The kinds of memory that Berth can put behind a guest.
    public enum Kind: Sendable, Equatable {
        /// Anonymous memory. QAPI: `memory-backend-ram`.
        case ram
        /// A file, mapped at `offset` bytes. QAPI: `memory-backend-file`.
        case file(path: String, offset: UInt64, readOnly: Bool)
        /// An unnamed memory file. QAPI: `memory-backend-memfd`.
        case memfd
        /// The same, out of the pool of huge pages; nil is the host's default size.
        ///
        /// QAPI: `memory-backend-memfd` with `hugetlb=on,hugetlbsize=`.
        case hugetlb(pageByteCount: Int?)
    }

    /// The object's id, and the name of the RAM block made from it.
    public var id: String
    /// What kind of memory it is.
    public var kind: Kind
    /// Size in bytes, at least 1.
    public var byteCount: UInt64
    /// Whether writes reach the file (or memfd) and so other processes.
    public var isShared: Bool
    /// Whether the pages are made at once rather than on first touch.
    public var isPreallocated: Bool
    /// Whether the kernel may merge equal pages; reported only.
    public var isMerged: Bool
    /// Whether a dump of the process includes the memory; reported only.
    public var isDumped: Bool

    /// Describes a backend; nothing is allocated yet.
    public init(
        id: String,
        kind: Kind,
        byteCount: UInt64,
        isShared: Bool = false,
        isPreallocated: Bool = false,
        isMerged: Bool = true,
        isDumped: Bool = true
    ) {
        self.id = id
        self.kind = kind
        self.byteCount = byteCount
        self.isShared = isShared
        self.isPreallocated = isPreallocated
        self.isMerged = isMerged
        self.isDumped = isDumped
    }

    /// Allocates the memory.
    ///
    /// A file that is missing is created, and one that is too small is extended, unless it is to
    /// be read only.
    /// - Throws: `SystemCallError` that names the backing file or the memory asked for.
    public func allocate() throws(SystemCallError) -> MemoryMapping {
        guard let count = Int(exactly: byteCount), count > 0 else {
            throw SystemCall.failure("mmap", "\(byteCount) bytes", ENOMEM)
        }
        let options = MemoryMapping.Options(isPreallocated: isPreallocated)
        switch kind {
        case .ram:
            return try MemoryMapping.anonymous(byteCount: count, options: options)
        case .memfd, .hugetlb:
            var pages = MemoryMapping.Pages.normal
            if case .hugetlb(let size) = kind { pages = .hugetlb(byteCount: size) }
            return try MemoryMapping.memfd(
                name: id,
                byteCount: count,
                sharing: isShared ? .shared : .private,
                pages: pages,
                options: options
            )
        case .file(let path, let offset, let readOnly):
            return try mapFile(path, offset: offset, readOnly: readOnly, count, options)
        }
    }

    /// What to do about memory that `allocate` couldn't have, if anything can be said.
    public func hint(for error: SystemCallError) -> String? {
        guard case .hugetlb(let size) = kind else { return nil }
        if error.has(ENOMEM) {
            let pool = size.map { "hugepages-\($0 >> 10)kB" } ?? "that of the default size"
            return "have more huge pages set aside: write their number to "
                + "/proc/sys/vm/nr_hugepages, or under /sys/kernel/mm/hugepages (\(pool))"
        }
        if error.has(EINVAL) || error.has(ENODEV) || error.has(ENOSYS) {
            return "use a size that /sys/kernel/mm/hugepages lists, or leave hugetlbsize off"
        }
        return nil
    }

    private func mapFile(
        _ path: String,
        offset: UInt64,
        readOnly: Bool,
        _ count: Int,
        _ options: MemoryMapping.Options
    ) throws(SystemCallError) -> MemoryMapping {
        // A private mapping is writable even where the file is not.
        let access = readOnly ? O_RDONLY : O_RDWR | O_CREAT
        let raw = try SystemCall.check("open", path) {
            unsafe open(path, access | O_CLOEXEC, 0o600)
        }
        let descriptor = OwnedDescriptor(raw)
        let status = try FileStatus(of: raw)
        let (end, overflow) = offset.addingReportingOverflow(byteCount)
        if !readOnly, status.kind == .regularFile, !overflow, status.byteCount < end {
            try SystemCall.check("extend", path) { ftruncate(raw, off_t(clamping: end)) }
        } else if status.kind == .regularFile, overflow || status.byteCount < end {
            throw SystemCall.failure("map all of", path, EINVAL)
        }
        return try MemoryMapping.file(
            descriptor,
            offset: offset,
            byteCount: count,
            sharing: isShared ? .shared : .private,
            options: options,
            path: path
        )
    }
}
