import BerthSystem

/// One block of RAM under write protection: what is protected, what has content, what was taken.
///
/// Before the instant pages are let go one by one, to keep short what has to be protected again;
/// after it whole granules, because each is copied whole.
struct ProtectedBlock {
    /// What became of a granule after the instant.
    enum Fate: UInt8 {
        /// Still protected, or without content.
        case waiting
        /// Being copied by the saver, which lets it go then.
        case taken
        /// Copied and let go.
        case done
    }

    /// How it is known which pages have content.
    private enum Population {
        /// The page table knows; pages that were never touched can't be protected.
        case pageTable
        /// The file's data, and in a private mapping also what the page table knows.
        case file(isPrivate: Bool)
        /// Nobody knows: all pages count.
        case all
    }

    let mapping: MemoryMapping
    let granuleByteCount: Int
    private let population: Population
    /// Bytes of the block, whole pages.
    private let byteCount: Int
    /// Pages that may have content; final from the instant on.
    private(set) var populated: PageBitmap
    /// Pages that were let go since they were protected, before the instant.
    private var open: PageBitmap
    private var fates: [Fate]

    init(_ block: RAMBlock) {
        mapping = block.mapping
        granuleByteCount = max(MemorySnapshot.usualGranuleByteCount, block.mapping.pageByteCount)
        byteCount = block.pageCount * targetPageByteCount
        let isAll = block.mapping.isHugetlb
        population =
            if isAll {
                .all
            } else if block.mapping.descriptor == nil {
                .pageTable
            } else {
                .file(isPrivate: block.mapping.sharing == .private)
            }
        populated = PageBitmap(pageCount: block.pageCount, repeating: isAll)
        open = PageBitmap(pageCount: block.pageCount)
        let count = (byteCount + granuleByteCount - 1) / granuleByteCount
        fates = Array(repeating: .waiting, count: count)
    }

    /// Steps in which to prepare, as ranges of bytes: each holds the fault thread up.
    var steps: [Range<Int>] {
        let count = unsafe mapping.pages.count
        let step = max(4 << 20, mapping.pageByteCount)
        return stride(from: 0, to: count, by: step).map { $0..<min($0 + step, count) }
    }

    // MARK: before the instant

    /// Protects a range for the first time.
    mutating func protect(
        _ bytes: Range<Int>,
        _ userfaultfd: Userfaultfd,
        _ pageMap: PageMap
    ) throws(SystemCallError) {
        switch population {
        case .pageTable:
            // Touched between the two calls: found by `close`, and protected for nothing now.
            try pageMap.scan(.populated, in: mapping, bytes: bytes) { _ = populated.insert($0) }
            try userfaultfd.protect(mapping, bytes)
        case .file(let isPrivate):
            if isPrivate {
                try pageMap.scan(.populated, in: mapping, bytes: bytes) {
                    _ = populated.insert($0)
                }
            }
            try userfaultfd.protect(mapping, bytes)
            // Protection leaves marks where there are no pages, which look like swapped-out ones.
            // Who touches a page from now on meets them, and is noted.
            if isPrivate {
                try pageMap.scan(.present, in: mapping, bytes: bytes) {
                    _ = populated.insert($0)
                }
            }
        case .all:
            try userfaultfd.protect(mapping, bytes)
        }
    }

    /// The pages that have content in the file behind a block; nil where that says nothing.
    ///
    /// To be asked once all is protected: what is written later meets protection, and is noted.
    static func fileContent(
        _ mapping: MemoryMapping,
        pageCount: Int
    ) throws(SystemCallError) -> PageBitmap? {
        guard mapping.descriptor != nil, !mapping.isHugetlb else { return nil }
        var content = PageBitmap(pageCount: pageCount)
        // All at once: to find a hole the kernel goes through all data before it.
        try mapping.visitFileData(in: unsafe 0..<mapping.pages.count) {
            _ = content.insert(pages($0))
        }
        return content
    }

    /// Notes pages that have content.
    mutating func insert(_ content: PageBitmap) {
        _ = populated.formUnion(content)
    }

    /// Protects again what was let go or touched for the first time since.
    ///
    /// - Returns: how many pages were open.
    mutating func close(
        _ bytes: Range<Int>,
        _ userfaultfd: Userfaultfd,
        _ pageMap: PageMap
    ) throws(SystemCallError) -> Int {
        if case .pageTable = population {
            try pageMap.scan(.populated, in: mapping, bytes: bytes) { pages in
                var page = pages.lowerBound
                while let fresh = populated.nextRun(
                    of: false,
                    from: page,
                    before: pages.upperBound
                ) {
                    _ = open.insert(fresh)
                    _ = populated.insert(fresh)
                    page = fresh.upperBound
                }
            }
        }
        let pages = Self.pages(bytes)
        var count = 0
        var page = pages.lowerBound
        while var run = open.nextRun(from: page, before: pages.upperBound) {
            count += run.count
            // A call costs as much as 16 pages more in one call.
            while let next = open.nextRun(
                from: run.upperBound,
                before: min(run.upperBound + 16, pages.upperBound)
            ) {
                count += next.count
                run = run.lowerBound..<next.upperBound
            }
            page = run.upperBound
            open.set(run, to: false)
            let start = run.lowerBound * targetPageByteCount
            try userfaultfd.protect(mapping, start..<page * targetPageByteCount)
        }
        return count
    }

    /// Lets a writer go on before the instant.
    mutating func letGo(
        at offset: Int,
        _ userfaultfd: Userfaultfd
    ) throws(SystemCallError) {
        let start = offset / mapping.pageByteCount * mapping.pageByteCount
        let bytes = start..<start + mapping.pageByteCount
        _ = open.insert(Self.pages(bytes))
        _ = populated.insert(Self.pages(bytes))
        try userfaultfd.release(mapping, bytes)
    }

    // MARK: after the instant

    /// Number of granules.
    var granuleCount: Int { fates.count }

    /// What became of a granule.
    func fate(of granule: Int) -> Fate { fates[granule] }

    /// Notes what becomes of a granule.
    mutating func set(_ fate: Fate, of granule: Int) { fates[granule] = fate }

    /// The bytes of a granule; the last one may be short.
    func bytes(of granule: Int) -> Range<Int> {
        let start = granule * granuleByteCount
        return start..<min(start + granuleByteCount, byteCount)
    }

    /// Whether any page of a granule has content.
    func hasContent(_ granule: Int) -> Bool {
        let pages = Self.pages(bytes(of: granule))
        return populated.nextRun(from: pages.lowerBound, before: pages.upperBound) != nil
    }

    /// Pages that begin in a range of bytes which begins with one.
    static func pages(_ bytes: Range<Int>) -> Range<Int> {
        bytes.lowerBound / targetPageByteCount..<bytes.upperBound.pageCountRoundedUp
    }

    /// Copies memory, without touching pages that have no content: that would allocate them.
    static func copy(
        _ mapping: MemoryMapping,
        _ bytes: Range<Int>,
        _ populated: PageBitmap,
        to target: UnsafeMutableRawPointer
    ) {
        var page = pages(bytes).lowerBound
        let end = pages(bytes).upperBound
        while page < end {
            let isPopulated = populated[page]
            let run = populated.nextRun(of: isPopulated, from: page, before: end) ?? page..<end
            let start = run.lowerBound * targetPageByteCount
            let count = run.count * targetPageByteCount
            let place = unsafe target + (start - bytes.lowerBound)
            if isPopulated {
                unsafe place.copyMemory(from: mapping.base + start, byteCount: count)
            } else {
                unsafe place.initializeMemory(as: UInt8.self, repeating: 0, count: count)
            }
            page = run.upperBound
        }
    }
}

extension Userfaultfd {
    /// Protects a part of `mapping`, up to the end of its last page.
    func protect(_ mapping: MemoryMapping, _ bytes: Range<Int>) throws(SystemCallError) {
        try unsafe protect(mapping.wholePages(bytes))
    }

    /// Lets a part of `mapping` go, up to the end of its last page.
    func release(_ mapping: MemoryMapping, _ bytes: Range<Int>) throws(SystemCallError) {
        try unsafe release(mapping.wholePages(bytes))
    }
}

extension MemoryMapping {
    fileprivate func wholePages(_ bytes: Range<Int>) -> UnsafeRawBufferPointer {
        let start = bytes.lowerBound / pageByteCount * pageByteCount
        let end = (bytes.upperBound + pageByteCount - 1) / pageByteCount * pageByteCount
        return unsafe UnsafeRawBufferPointer(
            rebasing: pages[start..<min(end, pages.count)]
        )
    }
}
