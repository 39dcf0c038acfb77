internal import CBerthLinux
internal import Glibc
internal import Synchronization

extension MemoryMapping {
    /// A file whose parts lie over private memory, as if they had been read into it.
    public struct Overlay: Sendable {
        /// The file.
        public let descriptor: OwnedDescriptorBox
        /// How messages name it.
        public let name: String

        /// Describes a file that is open for reading.
        public init(_ descriptor: OwnedDescriptorBox, name: String) {
            self.descriptor = descriptor
            self.name = name
        }
    }

    /// Whether a file can be laid over the memory: nobody else sees it, and its pages are the host's.
    public var takesOverlay: Bool { sharing == .private && !isHugetlb }

    /// The file that lies over parts of the memory; nil if there is none.
    ///
    /// A page that nobody has written since is the file's: it changes with the file, and touching it
    /// kills the process (SIGBUS) where the file no longer reaches.
    public var overlay: Overlay? { overlays.overlay }

    /// Lays a part of a file over a range: its pages come in when they are touched, and what is
    /// written stays in memory.
    ///
    /// Takes the same time for any size. Nothing may use the range meanwhile. Where the file has a
    /// hole the memory reads as zeros.
    ///
    /// - Parameters:
    ///   - overlay: the file, the same for all ranges; kept until `removeOverlay`.
    ///   - offset: where in the file the range begins; a multiple of the host's page.
    ///   - range: bytes from the base; whole host pages inside the mapping.
    /// - Throws: `SystemCallError` for `mmap`: `EINVAL` for what isn't whole pages, and for memory
    ///   that takes no overlay; `ENODEV` for a file that can't be mapped; `ENOMEM` where a process
    ///   has too many ranges.
    public func lay(
        _ overlay: Overlay,
        from offset: UInt64,
        over range: Range<Int>
    ) throws(SystemCallError) {
        try checkOverlay(range, overlay.name)
        guard let place = off_t(exactly: offset), let raw = overlay.descriptor.raw else {
            throw SystemCall.failure("mmap", overlay.name, EINVAL)
        }
        unsafe overlays.set(overlay, over: pages)
        try map(over: range, MAP_NORESERVE, raw, place, overlay.name)
    }

    /// Lays fresh zeros over a range of an overlay, for what the file has there and nobody wants.
    ///
    /// - Parameter range: bytes from the base; whole host pages inside the mapping.
    /// - Throws: `SystemCallError` for `mmap`, as `lay` does.
    public func layZeros(over range: Range<Int>) throws(SystemCallError) {
        try checkOverlay(range, "memory")
        try map(over: range, MAP_NORESERVE | MAP_ANONYMOUS, -1, 0, "memory")
    }

    /// Takes the overlay away: the whole memory is fresh zeros, huge pages behind it where the
    /// kernel has them.
    ///
    /// Nothing may use the memory meanwhile. Does nothing where there is no overlay.
    ///
    /// - Throws: `SystemCallError` for `mmap`.
    public func removeOverlay() throws(SystemCallError) {
        guard overlay != nil else { return }
        let all = unsafe 0..<pages.count
        try map(over: all, MAP_NORESERVE | MAP_ANONYMOUS, -1, 0, "memory")
        _ = unsafe madvise(base, all.count, berth_MADV_HUGEPAGE)
        overlays.clear()
    }

    /// Brings pages of the file in, so that who touches them first doesn't wait for the disk.
    ///
    /// Blocks until they are there. A page that was written stays as it is.
    ///
    /// - Parameter range: bytes from the base; whole host pages inside the mapping.
    /// - Throws: `SystemCallError` for `madvise`: `EFAULT` where the file can't be read any more.
    @available(*, noasync, message: "blocks its thread")
    public func fetch(_ range: Range<Int>) throws(SystemCallError) {
        try checkOverlay(range, "memory")
        try SystemCall.check("madvise", "memory") {
            unsafe madvise(base + range.lowerBound, range.count, berth_MADV_POPULATE_READ)
        }
    }

    /// Has the kernel begin to read pages of the file; doesn't wait for them.
    ///
    /// - Parameter range: bytes from the base; whole host pages inside the mapping.
    public func readAhead(_ range: Range<Int>) {
        guard range.lowerBound >= 0, unsafe range.upperBound <= pages.count else { return }
        // A wish: where it isn't granted the pages come in when they are touched.
        _ = unsafe madvise(base + range.lowerBound, range.count, CInt(MADV_WILLNEED))
    }

    private func checkOverlay(_ range: Range<Int>, _ name: String) throws(SystemCallError) {
        let page = Self.hostPageByteCount
        guard takesOverlay, range.lowerBound >= 0, unsafe range.upperBound <= pages.count,
            range.lowerBound % page == 0, range.upperBound % page == 0
        else { throw SystemCall.failure("mmap", name, EINVAL) }
    }

    private func map(
        over range: Range<Int>,
        _ flags: CInt,
        _ raw: CInt,
        _ offset: off_t,
        _ name: String
    ) throws(SystemCallError) {
        guard !range.isEmpty else { return }
        let target = unsafe base + range.lowerBound
        let mapped = unsafe mmap(
            target,
            range.count,
            PROT_READ | PROT_WRITE,
            flags | MAP_PRIVATE | MAP_FIXED,
            raw,
            offset
        )
        guard unsafe mapped == target else {
            throw SystemCall.failure("mmap", name, Glibc.errno)
        }
    }
}

/// Where a mapping keeps what lies over it.
final class OverlayBox: Sendable {
    private struct State {
        var overlay: MemoryMapping.Overlay?
        /// Explains what kills the process where the file can't give a page.
        var explanation: CInt = -1
    }

    private let state = Mutex(State())

    deinit { clear() }

    var overlay: MemoryMapping.Overlay? { state.withLock { $0.overlay } }

    func set(_ overlay: MemoryMapping.Overlay, over pages: UnsafeRawBufferPointer) {
        state.withLock { state in
            state.overlay = overlay
            guard state.explanation < 0 else { return }
            let text =
                "berth: '\(overlay.name)' can't give a page of the guest's memory, which lies on it: "
                + "the file was cut short, or its disk fails\n"
            let bytes = Array(text.utf8)
            state.explanation = unsafe bytes.withUnsafeBytes {
                unsafe berth_bus_error_explain(
                    UInt(bitPattern: pages.baseAddress),
                    pages.count,
                    $0.bindMemory(to: CChar.self).baseAddress,
                    $0.count
                )
            }
        }
    }

    func clear() {
        state.withLock { state in
            berth_bus_error_forget(state.explanation)
            state = State()
        }
    }
}
