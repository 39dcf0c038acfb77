import BerthSystem
import Synchronization

/// Finds every write of this process through a mapping, by any thread or by the kernel.
///
/// Pages are write-protected by an asynchronous userfaultfd: the first write to one lifts its
/// protection without anybody being told, and PAGEMAP_SCAN finds such pages and protects them again
/// in one step. Writes through another mapping of the same file aren't seen.
final class KernelDirtySource: DirtySource {
    let mechanism = DirtyTrackingMechanism.kernel
    let mapping: MemoryMapping
    private let armed = Mutex<Armed?>(nil)

    private struct Armed {
        let userfaultfd: Userfaultfd
        let pageMap: PageMap
    }

    init(_ mapping: MemoryMapping) {
        self.mapping = mapping
    }

    deinit { stop() }

    func start() throws(DirtyTrackingError) {
        stop()
        do {
            let new = Armed(userfaultfd: try Userfaultfd(.asynchronous), pageMap: try PageMap())
            try unsafe new.userfaultfd.register(mapping.pages)
            armed.withLock { $0 = new }
            // What was written until now is not of interest: this protects it.
            try scan(new.pageMap) { _ in }
        } catch {
            stop()
            throw DirtyTrackingError(kernelTracking: error, of: mapping)
        }
    }

    func collect(into bitmap: inout PageBitmap) throws(DirtyTrackingError) -> Int {
        guard let pageMap = armed.withLock({ $0?.pageMap }) else { return 0 }
        var fresh = 0
        do {
            try scan(pageMap) { fresh += bitmap.insert($0) }
        } catch {
            throw DirtyTrackingError(kernelTracking: error, of: mapping)
        }
        return fresh
    }

    func stop() {
        guard let old = armed.withLock({ $0.take() }) else { return }
        old.userfaultfd.forget(mapping)
    }

    private func scan(
        _ pageMap: PageMap,
        _ visit: (Range<Int>) -> Void
    ) throws(SystemCallError) {
        try pageMap.scan(.writtenSinceLast, in: mapping, visit)
    }
}

extension PageMap {
    /// Finds the pages of `mapping` that answer `question` with yes.
    ///
    /// - Parameters:
    ///   - bytes: where to look, from the mapping's base; whole pages. nil is all of it.
    ///   - visit: is given runs of target pages, in order.
    func scan(
        _ question: Question,
        in mapping: MemoryMapping,
        bytes: Range<Int>? = nil,
        _ visit: (Range<Int>) -> Void
    ) throws(SystemCallError) {
        let base = unsafe UInt(bitPattern: mapping.base)
        let bytes = unsafe bytes ?? 0..<mapping.pages.count
        try scan(question, from: base + UInt(bytes.lowerBound), byteCount: bytes.count) { region in
            let start = Int(clamping: max(region.start, UInt64(base)) - UInt64(base))
            let end = Int(clamping: max(region.end, UInt64(base)) - UInt64(base))
            visit(start / targetPageByteCount..<end / targetPageByteCount)
        }
    }
}

extension Userfaultfd {
    /// Forgets all of `mapping`: all protection is lifted.
    ///
    /// In steps, because each keeps everybody else from having pages: a millisecond for 256 MiB.
    func forget(_ mapping: MemoryMapping) {
        let pages = unsafe mapping.pages
        let step = max(64 << 20, mapping.pageByteCount)
        let count = pages.count
        for start in stride(from: 0, to: count, by: step) {
            let end = min(start + step, count)
            unsafe unregister(UnsafeRawBufferPointer(rebasing: pages[start..<end]))
        }
    }
}
