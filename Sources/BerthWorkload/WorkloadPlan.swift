public import BerthMemory

/// What a workload is to write.
public struct WorkloadPlan: Sendable {
    /// Most threads that one workload can have.
    ///
    /// Far more than the hosts that tests run on have processors.
    public static let maximumThreadCount = 64

    /// Name for messages.
    public var id: String
    /// The memory that is written.
    public var block: RAMBlock
    /// Bytes from the start of the block to the range, a multiple of the target page.
    public var start: Int
    /// Bytes in the range, a multiple of the target page.
    public var byteCount: Int
    /// Which pages are written, and what.
    public var pattern: WorkloadPattern
    /// How much all threads write together, where each page counts in full; 0 for no limit.
    public var bytesPerSecond: UInt64
    /// How many threads share the range and the rate.
    ///
    /// Both sides of a migration must have the same number: it decides which order of the pages
    /// proves that none is lost.
    public var threadCount: Int

    /// Describes a workload; nothing is checked yet.
    public init(
        id: String,
        block: RAMBlock,
        start: Int,
        byteCount: Int,
        pattern: WorkloadPattern,
        bytesPerSecond: UInt64,
        threadCount: Int
    ) {
        self.id = id
        self.block = block
        self.start = start
        self.byteCount = byteCount
        self.pattern = pattern
        self.bytesPerSecond = bytesPerSecond
        self.threadCount = threadCount
    }

    /// The pages of the block that each thread owns: contiguous, in order, none empty.
    ///
    /// - Throws: `WorkloadError` if the plan can't be carried out.
    func slices() throws(WorkloadError) -> [Range<Int>] {
        let attempt = "cannot create workload '\(id)'"
        let unit = targetPageByteCount
        guard start >= 0, start.isMultiple(of: unit), byteCount.isMultiple(of: unit) else {
            throw WorkloadError(
                "\(attempt): its range (start \(start), size \(byteCount)) isn't made of pages",
                hint: "make start and size multiples of \(unit)"
            )
        }
        guard byteCount > 0 else {
            throw WorkloadError(
                "\(attempt): its range is empty",
                hint: "give a size of at least \(unit) bytes, and a start inside the memory"
            )
        }
        guard start <= block.byteCount, byteCount <= block.byteCount - start else {
            throw WorkloadError(
                "\(attempt): its range (start \(start), size \(byteCount)) ends outside "
                    + "memory '\(block.id)', which has \(block.byteCount) bytes",
                hint: "choose start and size so that their sum is at most the memory's size"
            )
        }
        guard let last = UInt32(exactly: (start + byteCount - 1) / unit), last < .max else {
            throw WorkloadError(
                "\(attempt): its range ends behind the first 16 TiB of memory '\(block.id)'",
                hint: "choose a range that ends earlier"
            )
        }
        let pageCount = byteCount / unit
        guard (1...Self.maximumThreadCount).contains(threadCount), threadCount <= pageCount else {
            throw WorkloadError(
                "\(attempt): \(threadCount) threads can't share \(pageCount) pages",
                hint: "ask for 1 to \(min(pageCount, Self.maximumThreadCount)) threads"
            )
        }
        let first = start / unit
        return (0..<threadCount).map { thread in
            first + pageCount * thread / threadCount..<first + pageCount * (thread + 1)
                / threadCount
        }
    }
}
