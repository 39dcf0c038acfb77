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

    /// What kind of pages a memfd is made of.
    public enum Pages: Sendable, Equatable {
        /// The host's normal pages.
        case normal
        /// Pages from the pool of huge pages (hugetlb); nil is the host's default size.
        case hugetlb(byteCount: Int?)
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
    /// Bytes in each page: the host's page, or the huge page of hugetlb memory.
    public let pageByteCount: Int
    /// The file or memfd behind the memory; nil for anonymous memory.
    ///
    /// Always the same open file: duplicates are no opens of their own, which a lease counts.
    public let descriptor: OwnedDescriptorBox?
    /// Where in that file the mapping begins, in bytes.
    public let fileOffset: UInt64
    /// The path by which that file was opened; nil for a memfd and for anonymous memory.
    public let path: String?
    /// What lies over it; see `overlay`.
    let overlays = OverlayBox()

    // SAFETY (nonisolated(unsafe) above): the pointer itself never changes. Who may touch the bytes
    // when is for the owner of the mapping to say: guest memory is written by many threads.

    private init(base: UnsafeMutableRawPointer, byteCount: Int, _ source: Source) {
        unsafe self.base = base
        self.byteCount = byteCount
        sharing = source.sharing
        pageByteCount = source.pageByteCount
        descriptor = source.descriptor
        fileOffset = source.offset
        path = source.path
    }

    deinit {
        unsafe munmap(base, pages.count)
    }

    /// What is mapped.
    private struct Source {
        var sharing: Sharing
        var descriptor: OwnedDescriptorBox?
        var offset: UInt64 = 0
        var path: String?
        var pageByteCount = MemoryMapping.hostPageByteCount
        /// How messages name it.
        var name: String
    }

    /// Maps fresh zeros that only this process sees.
    ///
    /// - Parameter byteCount: more than 0; need not be a multiple of a page.
    /// - Throws: `SystemCallError` for `mmap` or, with preallocation, `madvise`.
    public static func anonymous(
        byteCount: Int,
        options: Options = Options()
    ) throws(SystemCallError) -> MemoryMapping {
        try map(byteCount, Source(sharing: .private, name: "memory"), options)
    }

    /// Maps a memfd of its own: memory that can be handed to another process.
    ///
    /// - Parameters:
    ///   - name: shows in `/proc/PID/maps`.
    ///   - byteCount: more than 0; the memfd is rounded up to whole pages.
    ///   - kind: huge pages are set aside for all of it; there must be enough of them.
    /// - Returns: the mapping, which has the memfd as its descriptor.
    /// - Throws: `SystemCallError` for `memfd_create` (`EINVAL`, `ENODEV` and `ENOSYS` for huge
    ///   pages that the kernel doesn't have), `ftruncate`, `mmap` (`ENOMEM`) or `allocate`.
    public static func memfd(
        name: String,
        byteCount: Int,
        sharing: Sharing = .shared,
        pages kind: Pages = .normal,
        options: Options = Options()
    ) throws(SystemCallError) -> MemoryMapping {
        var flags = berth_MFD_CLOEXEC
        if case .hugetlb(let pageByteCount) = kind {
            flags |= berth_MFD_HUGETLB
            if let pageByteCount {
                guard pageByteCount > 0, pageByteCount.nonzeroBitCount == 1 else {
                    throw SystemCall.failure("memfd_create", name, EINVAL)
                }
                // The size's logarithm, in the bits that MFD_HUGE_SHIFT says.
                flags |= CUnsignedInt(pageByteCount.trailingZeroBitCount) << 26
            }
        }
        let raw = try SystemCall.check("memfd_create", name) {
            unsafe berth_memfd_create(name, flags)
        }
        let descriptor = OwnedDescriptor(raw)
        let pageByteCount = try Self.pageByteCount(of: raw, name)
        let rounded = try roundedUp(byteCount, to: pageByteCount, name)
        try SystemCall.check("ftruncate", name) { ftruncate(raw, off_t(rounded)) }
        return try map(
            byteCount,
            Source(
                sharing: sharing,
                descriptor: OwnedDescriptorBox(descriptor),
                pageByteCount: pageByteCount,
                name: name
            ),
            options
        )
    }

    /// Maps a part of an open file.
    ///
    /// The file must be long enough: touching a page behind its end kills the process (SIGBUS).
    ///
    /// - Parameters:
    ///   - descriptor: the file; a duplicate is kept.
    ///   - offset: a multiple of the file's page.
    ///   - byteCount: more than 0.
    ///   - path: how messages name the file.
    /// - Throws: `SystemCallError` for `dup`, `fstatfs`, `mmap` or `allocate`.
    public static func file(
        _ descriptor: borrowing OwnedDescriptor,
        offset: UInt64,
        byteCount: Int,
        sharing: Sharing,
        options: Options = Options(),
        path: String
    ) throws(SystemCallError) -> MemoryMapping {
        try map(
            byteCount,
            Source(
                sharing: sharing,
                descriptor: OwnedDescriptorBox(try descriptor.duplicate()),
                offset: offset,
                path: path,
                pageByteCount: try pageByteCount(of: descriptor.raw, path),
                name: path
            ),
            options
        )
    }

    /// Whether the memory is made of pages from the pool of huge pages.
    public var isHugetlb: Bool { pageByteCount != Self.hostPageByteCount }

    /// The whole mapping as a buffer.
    public var bytes: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: base, count: byteCount)
    }

    /// The same up to the end of the last page, as calls into the kernel want it.
    public var pages: UnsafeRawBufferPointer {
        let count = (byteCount + pageByteCount - 1) / pageByteCount * pageByteCount
        return unsafe UnsafeRawBufferPointer(start: base, count: count)
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

    /// Finds the parts of the file behind the mapping that have content; what lies between reads as
    /// zeros.
    ///
    /// Unlike a look at the memory it allocates nothing. Where the file system can't tell, all of it
    /// has content. Not for anonymous memory.
    ///
    /// - Parameters:
    ///   - range: bytes from the base.
    ///   - visit: is given ranges of bytes from the base, in order.
    /// - Throws: `SystemCallError` for `lseek`.
    public func visitFileData(
        in range: Range<Int>,
        _ visit: (Range<Int>) -> Void
    ) throws(SystemCallError) {
        guard let raw = descriptor?.raw, let origin = off_t(exactly: fileOffset) else { return }
        let end = origin + off_t(range.upperBound)
        var position = origin + off_t(range.lowerBound)
        while position < end {
            let (data, code) = SystemCall.uninterrupted { lseek(raw, position, berth_SEEK_DATA) }
            // ENXIO: there is none from here to the end of the file.
            if data == -1, code == ENXIO { return }
            guard data != -1 else { throw SystemCall.failure("lseek", path ?? "memfd", code) }
            guard data < end else { return }
            let hole = try SystemCall.check("lseek", path ?? "memfd") {
                lseek(raw, data, berth_SEEK_HOLE)
            }
            visit(Int(data - origin)..<Int(min(hole, end) - origin))
            position = hole
        }
    }

    private static func map(
        _ byteCount: Int,
        _ source: Source,
        _ options: Options
    ) throws(SystemCallError) -> MemoryMapping {
        let name = source.name
        let alignment = max(hugePageByteCount, source.pageByteCount)
        let usedBytes = try roundedUp(byteCount, to: source.pageByteCount, name)
        let (padded, overflow) = usedBytes.addingReportingOverflow(alignment)
        guard !overflow else { throw SystemCall.failure("mmap", name, ENOMEM) }
        guard let offset = off_t(exactly: source.offset) else {
            throw SystemCall.failure("mmap", name, EINVAL)
        }
        // Reserve more than enough, map the aligned part over it and give back what sticks out.
        let noAccess = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        let reserved = unsafe mmap(nil, padded, PROT_NONE, noAccess, -1, 0)
        guard let reserved = unsafe reserved, unsafe reserved != MAP_FAILED else {
            throw SystemCall.failure("mmap", name, Glibc.errno)
        }
        let base = unsafe reserved.alignedUp(toMultipleOf: alignment)
        let protection = PROT_READ | (options.isWritable ? PROT_WRITE : 0)
        var flags = source.sharing == .shared ? MAP_SHARED : MAP_PRIVATE
        flags |= MAP_FIXED
        // Guest memory is often larger than what is free: it is paid for when it is touched. Not so
        // huge pages: a touch of one that can't be had would kill the process.
        let isHugetlb = source.pageByteCount != hostPageByteCount
        if !options.isPreallocated, !isHugetlb { flags |= MAP_NORESERVE }
        if source.descriptor == nil { flags |= MAP_ANONYMOUS }
        let raw = source.descriptor?.raw ?? -1
        let mapped = unsafe mmap(base, usedBytes, protection, flags, raw, offset)
        guard unsafe mapped == base else {
            let code = Glibc.errno
            unsafe munmap(reserved, padded)
            throw SystemCall.failure("mmap", name, code)
        }
        if unsafe base > reserved { unsafe munmap(reserved, base - reserved) }
        let tail = unsafe base + usedBytes
        let end = unsafe reserved + padded
        if unsafe end > tail { unsafe munmap(tail, end - tail) }

        let mapping = unsafe MemoryMapping(base: base, byteCount: byteCount, source)
        if options.hugePages {
            // Refused where the kernel has none, and for most files: small pages do as well.
            _ = unsafe madvise(base, usedBytes, berth_MADV_HUGEPAGE)
        }
        if options.isPreallocated {
            try SystemCall.check("allocate", name) {
                unsafe madvise(
                    base,
                    usedBytes,
                    options.isWritable ? berth_MADV_POPULATE_WRITE : berth_MADV_POPULATE_READ
                )
            }
        }
        return mapping
    }

    private static func roundedUp(
        _ byteCount: Int,
        to pageByteCount: Int,
        _ name: String
    ) throws(SystemCallError) -> Int {
        let (sum, overflow) = byteCount.addingReportingOverflow(pageByteCount - 1)
        guard byteCount > 0, !overflow else { throw SystemCall.failure("mmap", name, ENOMEM) }
        return sum / pageByteCount * pageByteCount
    }

    /// The size of the pages that a mapping of a file is made of.
    private static func pageByteCount(
        of raw: CInt,
        _ name: String
    ) throws(SystemCallError) -> Int {
        let size = try SystemCall.check("fstatfs", name) { berth_hugetlb_page_size(raw) }
        return size > 0 ? Int(size) : hostPageByteCount
    }
}
