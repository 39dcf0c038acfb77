public import BerthSystem
import Synchronization

/// A named, contiguous piece of guest RAM.
///
/// QEMU: RAMBlock; `id` is the stream's *idstr*.
///
/// The memory may change under any reader at any time: copy out once, then look at the copy.
public final class RAMBlock: Sendable {
    /// Name in the stream, 1 to 255 bytes.
    public let id: String
    /// Size in bytes, a multiple of the target page size.
    public let byteCount: Int
    /// Software dirty bitmap that writers in this process mark.
    public let dirtyLog: DirtyLog
    /// The memory itself; its size is `byteCount` rounded up to host pages.
    public let mapping: MemoryMapping
    /// How writes to the block are found.
    public let tracking: DirtyTracking
    private let untouched: Atomic<Bool>

    /// Wraps memory as a block of `byteCount` bytes.
    ///
    /// - Parameter isZeroed: the memory is known to be all zero.
    public init(id: String, byteCount: Int, mapping: MemoryMapping, isZeroed: Bool) {
        self.id = id
        self.byteCount = byteCount
        self.mapping = mapping
        untouched = Atomic(isZeroed)
        dirtyLog = DirtyLog(pageCount: byteCount.pageCountRoundedUp)
        tracking = DirtyTracking(dirtyLog, mapping)
    }

    /// Another name for the memory of `other`: writers of either are found through both.
    private init(id: String, sharing other: RAMBlock) {
        self.id = id
        byteCount = other.byteCount
        mapping = other.mapping
        untouched = Atomic(other.takeUntouched())
        dirtyLog = other.dirtyLog
        tracking = other.tracking
    }

    /// Makes a block of fresh anonymous memory, huge pages behind it where the kernel has them.
    ///
    /// - Throws: `SystemCallError` if the memory cannot be had.
    public convenience init(id: String, byteCount: Int) throws(SystemCallError) {
        let mapping = try MemoryMapping.anonymous(byteCount: byteCount)
        self.init(id: id, byteCount: byteCount, mapping: mapping, isZeroed: true)
    }

    /// Makes a block, named by the backend, from the memory that the backend describes.
    ///
    /// - Throws: `SystemCallError` that names the backing file or the memory asked for.
    public convenience init(_ backend: MemoryBackend) throws(SystemCallError) {
        let mapping = try backend.allocate()
        let zeroed =
            switch backend.kind {
            case .ram, .memfd, .hugetlb: true
            case .file: false
            }
        self.init(
            id: backend.id,
            byteCount: mapping.byteCount,
            mapping: mapping,
            isZeroed: zeroed
        )
    }

    /// The same memory under another name in the stream.
    public func named(_ id: String) -> RAMBlock {
        id == self.id ? self : RAMBlock(id: id, sharing: self)
    }

    /// Says that the memory is about to get content.
    ///
    /// - Returns: whether it was known to be all zero until now.
    public func takeUntouched() -> Bool {
        untouched.exchange(false, ordering: .acquiringAndReleasing)
    }

    /// Forgets content that turned out to be worth nothing: the memory is all zero again, and known
    /// to be.
    ///
    /// Only for memory that started that way, or lies on an image; nothing may use it meanwhile.
    public func discardContent() {
        clear()
        untouched.store(true, ordering: .releasing)
    }

    /// Makes memory zero that started that way, or that lies on an image.
    func clear() {
        do {
            try mapping.removeOverlay()
            try mapping.discard(0..<mapping.byteCount)
        } catch {
            // The kernel won't take it back, so it is cleared by hand.
            unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: mapping.byteCount)
        }
    }

    /// Number of target pages.
    public var pageCount: Int { byteCount.pageCountRoundedUp }

    /// First byte of the block.
    public var base: UnsafeMutableRawPointer { unsafe mapping.base }

    /// The file or memfd behind memory that other processes can map; nil for private memory.
    public var shareableDescriptor: OwnedDescriptorBox? {
        mapping.sharing == .shared ? mapping.descriptor : nil
    }

    /// Whether the memory is a file by path, mapped so that all who have it see each other's writes.
    ///
    /// QEMU: memory that `x-ignore-shared` leaves out.
    public var isSharedFile: Bool { mapping.sharing == .shared && mapping.path != nil }

    /// A 64-bit digest of the whole content; equal memory gives equal digests.
    ///
    /// Meaningful only while nothing writes the block. It is a checksum against accidents, not
    /// against forgery: FNV's multiply-and-xor over 64-bit words.
    public var digest: UInt64 {
        digest(of: 0..<pageCount)
    }

    /// The same of some of its pages, clamped to the block.
    public func digest(of pages: Range<Int>) -> UInt64 {
        let pages = pages.clamped(to: 0..<pageCount)
        let end = min(pages.upperBound * targetPageByteCount, byteCount / 8 * 8)
        let base = unsafe self.base
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for offset in stride(from: pages.lowerBound * targetPageByteCount, to: end, by: 8) {
            hash =
                unsafe (hash ^ base.load(fromByteOffset: offset, as: UInt64.self))
                &* 0x100_0000_01b3
            hash ^= hash >> 29
        }
        return hash
    }
}
