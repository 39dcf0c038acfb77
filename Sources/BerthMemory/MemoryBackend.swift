public import BerthSystem

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
    /// A file that is missing is created and extended, as QEMU does; one that is too small for
    /// `offset` plus the size is refused by the kernel's mapping only after it was extended.
    /// - Throws: `SystemCallError` that names the backing file or the memory asked for.
    public func allocate() throws(SystemCallError) -> MemoryMapping {
        guard let count = Int(exactly: byteCount), count > 0 else {
            throw SystemCallError(call: "mmap", operand: "\(byteCount) bytes", errno: .noMemory)
        }
        let mapping: MemoryMapping
        switch kind {
        case .ram:
            mapping = try MemoryMapping.anonymous(byteCount: count, shared: isShared)
        case .memfd:
            mapping = try MemoryMapping.memfd(name: id, byteCount: count, shared: isShared)
        case .file(let path, let offset, let readOnly):
            mapping = try MemoryMapping.file(
                path: path,
                offset: offset,
                byteCount: count,
                shared: isShared,
                readOnly: readOnly
            )
        }
        if isPreallocated {
            try mapping.populate()
        }
        return mapping
    }
}
