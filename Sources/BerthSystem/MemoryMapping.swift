internal import CBerthLinux
internal import Glibc

/// A range of memory from mmap(2), unmapped when the last reference goes.
@safe
public final class MemoryMapping: Sendable {
    /// Who sees writes.
    public enum Sharing: Sendable {
        /// Only this process; a file behind it stays as it is.
        case `private`
        /// The file and everybody who has mapped it.
        case shared
    }

    /// How the memory behind a mapping is to be had.
    public struct Options: Sendable {
        /// Ask for huge pages (`MADV_HUGEPAGE`); a wish, not an error where there are none.
        public var hugePages: Bool
        /// Have every page allocated before the mapping is handed out.
        public var isPreallocated: Bool
        /// The pages can be written.
        public var isWritable: Bool

        /// Huge pages, nothing allocated in advance, writable.
        public init(
            hugePages: Bool = true,
            isPreallocated: Bool = false,
            isWritable: Bool = true
        ) {
            self.hugePages = hugePages
            self.isPreallocated = isPreallocated
            self.isWritable = isWritable
        }
    }

    /// Alignment of large mappings: the usual huge page, so that huge pages can cover all of it.
    public static let hugePageByteCount = 2 << 20

    /// Bytes in the host's normal page.
    public static let hostPageByteCount = Int(sysconf(CInt(_SC_PAGESIZE)))

    /// The first byte; valid as long as this object lives.
    public nonisolated(unsafe) let base: UnsafeMutableRawPointer
    /// Bytes in the mapping.
    public let byteCount: Int
    /// Whether writes go to a file or memfd that others can see.
    public let sharing: Sharing

    // SAFETY (nonisolated(unsafe) above): the pointer itself never changes. Who may touch the bytes
    // when is for the owner of the mapping to say: guest memory is written by many threads.

    private init(base: UnsafeMutableRawPointer, byteCount: Int, sharing: Sharing) {
        unsafe self.base = base
        self.byteCount = byteCount
        self.sharing = sharing
    }

    deinit {
        unsafe munmap(base, byteCount)
    }

    /// Maps fresh zeros that only this process sees.
    ///
    /// - Parameter byteCount: more than 0; need not be a multiple of a page.
    /// - Throws: `SystemCallError` for `mmap` or, with preallocation, `madvise`.
    public static func anonymous(
        byteCount: Int,
        options: Options = Options()
    ) throws(SystemCallError) -> MemoryMapping {
        try map(byteCount, sharing: .private, options, descriptor: -1, offset: 0, "memory")
    }

    /// Maps a memfd of its own: memory that can be handed to another process.
    ///
    /// - Parameters:
    ///   - name: shows in `/proc/PID/maps`.
    ///   - byteCount: more than 0.
    /// - Returns: the mapping and the memfd behind it.
    /// - Throws: `SystemCallError` for `memfd_create`, `ftruncate`, `mmap` or `madvise`.
    public static func memfd(
        name: String,
        byteCount: Int,
        sharing: Sharing = .shared,
        options: Options = Options()
    ) throws(SystemCallError) -> (mapping: MemoryMapping, descriptor: OwnedDescriptorBox) {
        let raw = try SystemCall.check("memfd_create", name) {
            unsafe berth_memfd_create(name, berth_MFD_CLOEXEC)
        }
        let descriptor = OwnedDescriptor(raw)
        try SystemCall.check("ftruncate", name) { ftruncate(raw, off_t(byteCount)) }
        let mapping = try map(
            byteCount,
            sharing: sharing,
            options,
            descriptor: raw,
            offset: 0,
            name
        )
        return (mapping, OwnedDescriptorBox(descriptor))
    }

    /// Maps a part of an open file.
    ///
    /// The file must be long enough: touching a page behind its end kills the process (SIGBUS).
    ///
    /// - Parameters:
    ///   - descriptor: the file; it may be closed afterwards.
    ///   - offset: a multiple of the host's page.
    ///   - byteCount: more than 0.
    ///   - path: how messages name the file.
    /// - Throws: `SystemCallError` for `mmap` or `madvise`.
    public static func file(
        _ descriptor: borrowing OwnedDescriptor,
        offset: UInt64,
        byteCount: Int,
        sharing: Sharing,
        options: Options = Options(),
        path: String
    ) throws(SystemCallError) -> MemoryMapping {
        guard let offset = off_t(exactly: offset) else {
            throw SystemCall.failure("mmap", path, EINVAL)
        }
        return try map(
            byteCount,
            sharing: sharing,
            options,
            descriptor: descriptor.raw,
            offset: offset,
            path
        )
    }

    /// The whole mapping as a buffer.
    public var bytes: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: base, count: byteCount)
    }

    /// Gives pages back, so that they cost no memory and read as zeros (or, in a private mapping of
    /// a file, as the file).
    ///
    /// - Parameter range: bytes from the base; whole host pages inside the mapping.
    /// - Throws: `SystemCallError` for `madvise`; `EINVAL` for a range that isn't whole pages.
    public func discard(_ range: Range<Int>) throws(SystemCallError) {
        guard range.lowerBound >= 0, range.upperBound <= byteCount else {
            throw SystemCall.failure("madvise", "memory", EINVAL)
        }
        guard !range.isEmpty else { return }
        // A shared page lives in its file; only punching a hole there frees it.
        let advice = sharing == .shared ? CInt(MADV_REMOVE) : CInt(MADV_DONTNEED)
        try SystemCall.check("madvise", "memory") {
            unsafe madvise(base + range.lowerBound, range.count, advice)
        }
    }

    private static func map(
        _ byteCount: Int,
        sharing: Sharing,
        _ options: Options,
        descriptor: CInt,
        offset: off_t,
        _ operand: String
    ) throws(SystemCallError) -> MemoryMapping {
        let (padded, overflow) = byteCount.addingReportingOverflow(hugePageByteCount)
        guard byteCount > 0, !overflow else { throw SystemCall.failure("mmap", operand, ENOMEM) }
        // Reserve more than enough, map the aligned part over it and give back what sticks out.
        let noAccess = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        let reserved = unsafe mmap(nil, padded, PROT_NONE, noAccess, -1, 0)
        guard let reserved = unsafe reserved, unsafe reserved != MAP_FAILED else {
            throw SystemCall.failure("mmap", operand, Glibc.errno)
        }
        let base = unsafe reserved.alignedUp(toMultipleOf: hugePageByteCount)
        let protection = PROT_READ | (options.isWritable ? PROT_WRITE : 0)
        var flags = sharing == .shared ? MAP_SHARED : MAP_PRIVATE
        // Guest memory is often larger than what is free: it is paid for when it is touched.
        flags |= MAP_FIXED | (options.isPreallocated ? 0 : MAP_NORESERVE)
        if descriptor == -1 { flags |= MAP_ANONYMOUS }
        let mapped = unsafe mmap(base, byteCount, protection, flags, descriptor, offset)
        guard unsafe mapped == base else {
            let code = Glibc.errno
            unsafe munmap(reserved, padded)
            throw SystemCall.failure("mmap", operand, code)
        }
        let usedBytes = (byteCount + hostPageByteCount - 1) / hostPageByteCount * hostPageByteCount
        if unsafe base > reserved { unsafe munmap(reserved, base - reserved) }
        let tail = unsafe base + usedBytes
        let end = unsafe reserved + padded
        if unsafe end > tail { unsafe munmap(tail, end - tail) }

        let mapping = unsafe MemoryMapping(base: base, byteCount: byteCount, sharing: sharing)
        if options.hugePages {
            // Refused where the kernel has none, and for most files: small pages do as well.
            _ = unsafe madvise(base, byteCount, berth_MADV_HUGEPAGE)
        }
        if options.isPreallocated {
            try SystemCall.check("allocate", operand) {
                unsafe madvise(
                    base,
                    usedBytes,
                    options.isWritable ? berth_MADV_POPULATE_WRITE : berth_MADV_POPULATE_READ
                )
            }
        }
        return mapping
    }
}
