import Synchronization

/// The software dirty bitmap of one RAM block: writers mark pages, a migration collects them.
///
/// Marking is one atomic or, safe from any number of threads. A writer marks a page *after* it
/// wrote, so that a page collected in between is sent once more, never lost.
@safe
public final class DirtyLog: Sendable {
    /// Number of pages that the log covers.
    public let pageCount: Int
    // SAFETY: the buffer is allocated in init, freed in deinit, never replaced; its elements are
    // atomics, so concurrent access to them is sound.
    private nonisolated(unsafe) let words: UnsafeMutableBufferPointer<Atomic<UInt64>>

    /// Makes an empty log for a block of `pageCount` pages.
    public init(pageCount: Int) {
        self.pageCount = pageCount
        let count = (pageCount + 63) / 64
        unsafe words = .allocate(capacity: count)
        for index in 0..<count {
            unsafe words.initializeElement(at: index, to: Atomic(0))
        }
    }

    deinit {
        unsafe words.deinitialize()
        unsafe words.deallocate()
    }

    /// Marks one page as written; a page outside the block is ignored.
    public func mark(page: Int) {
        guard page >= 0, page < pageCount else { return }
        let bit = UInt64(1) << UInt64(page % 64)
        // Also where the bit is set already: a look at it may be done before the page's new content
        // is visible to others, and who collects the old mark in between would send the old page.
        unsafe words[page / 64].bitwiseOr(bit, ordering: .releasing)
    }

    /// Moves every mark into `bitmap` and clears the log.
    ///
    /// - Returns: how many pages were not set in `bitmap` before.
    public func collect(into bitmap: inout PageBitmap) -> Int {
        var fresh = 0
        for index in unsafe words.indices {
            guard unsafe words[index].load(ordering: .relaxed) != 0 else { continue }
            let word = unsafe words[index].exchange(0, ordering: .acquiring)
            fresh += bitmap.merge(word, at: index)
        }
        return fresh
    }
}
