import BerthMemory
import BerthSystem
import BerthWire
import Synchronization

/// Memory that a block of an image was loaded into.
@safe
public struct LoadedBlock: @unchecked Sendable {
    // @unchecked: who gives the memory leaves it in place during the check.

    /// Name of the block.
    public let name: String
    /// The block's bytes.
    public let bytes: UnsafeRawBufferPointer

    /// Describes loaded memory.
    public init(name: String, bytes: UnsafeRawBufferPointer) {
        self.name = name
        unsafe self.bytes = unsafe bytes
    }
}

extension Seal {
    /// Compares memory that was loaded with what was sealed.
    ///
    /// Memory that the load didn't touch isn't read where the seal says that it is zero: it was zero
    /// before. (Where the kernel can't tell, before Linux 6.7, all of it is read.)
    ///
    /// - Parameters:
    ///   - blocks: those of the guest, in any order; others than the image's are left alone.
    ///   - threadCount: threads that read, at least 1.
    /// - Throws: `StreamError` if the seal's tables can't be read.
    @available(*, noasync, message: "blocks its thread")
    public func check(_ blocks: [LoadedBlock], threadCount: Int) throws(StreamError) -> SealVerdict
    {
        var missing: [String] = []
        var jobs: [MemoryCheck.Job] = []
        for (index, sealed) in header.blocks.enumerated() {
            guard
                let block = blocks.first(where: {
                    unsafe $0.name == sealed.name && UInt64($0.bytes.count) == sealed.byteCount
                })
            else {
                missing.append(
                    "the RAM block '\(sealed.name)' of \(sealed.byteCount) bytes was sealed, and "
                        + "isn't in the guest"
                )
                continue
            }
            for first in stride(from: 0, to: sealed.pageCount, by: MemoryCheck.pagesInJob) {
                jobs.append(
                    MemoryCheck.Job(
                        block: index,
                        memory: block,
                        pages: first..<min(first + MemoryCheck.pagesInJob, sealed.pageCount)
                    )
                )
            }
        }
        let check = MemoryCheck(self, jobs)
        try check.run(threadCount: threadCount)
        var verdict = SealVerdict(badPages: check.badPages, of: header.blocks)
        verdict.differences += missing
        return verdict
    }
}

/// A check of memory by several threads, each of which takes the next job.
private final class MemoryCheck: Sendable {
    /// A range of one block.
    struct Job {
        let block: Int
        let memory: LoadedBlock
        let pages: Range<Int>
    }

    /// Pages in one job: 64 MiB, so that threads end at nearly the same time.
    static let pagesInJob = 16_384

    private let seal: Seal
    private let digester: PageDigester
    private let jobs: [Job]
    private let next = Atomic<Int>(0)
    private let failure = FirstFailure()
    private let bad: Mutex<[PageBitmap]>
    /// Nil where the kernel doesn't have it.
    private let pageMap: PageMap?

    init(_ seal: Seal, _ jobs: [Job]) {
        self.seal = seal
        self.jobs = jobs
        digester = PageDigester(seal.algorithm)
        // Of the blocks that are there only: a seal may claim others of any size.
        let present = Set(jobs.map(\.block))
        bad = Mutex(
            seal.header.blocks.enumerated().map { index, block in
                PageBitmap(pageCount: present.contains(index) ? block.pageCount : 0)
            }
        )
        pageMap = try? PageMap()
    }

    var badPages: [PageBitmap] { bad.withLock { $0 } }

    func run(threadCount: Int) throws(StreamError) {
        var threads: [NamedThread] = []
        for _ in 0..<max(0, min(threadCount, jobs.count) - 1) {
            // Without further threads this one does it all.
            guard let thread = try? NamedThread.start(name: "berth-check", { self.work() }) else {
                break
            }
            threads.append(thread)
        }
        work()
        for thread in threads { thread.join() }
        try failure.check()
    }

    private func work() {
        let size = digester.entryByteCount
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: (Self.pagesInJob + 64) * size,
            alignment: 64
        )
        defer { unsafe buffer.deallocate() }
        let scratch = unsafe UnsafeMutableRawBufferPointer(
            rebasing: buffer[(Self.pagesInJob * size)...]
        )
        while true {
            let index = next.add(1, ordering: .relaxed).oldValue
            guard index < jobs.count else { return }
            let job = jobs[index]
            let entries = unsafe UnsafeMutableRawBufferPointer(
                rebasing: buffer[..<(job.pages.count * size)]
            )
            do throws(StreamError) {
                unsafe try seal.readEntries(
                    block: job.block,
                    from: job.pages.lowerBound,
                    into: entries
                )
            } catch {
                _ = failure.note(error)
                return
            }
            unsafe check(job, UnsafeRawBufferPointer(entries), scratch)
        }
    }

    /// Looks at 64 pages at a time, of which those are read that were sealed with content or that
    /// the load touched.
    private func check(
        _ job: Job,
        _ entries: UnsafeRawBufferPointer,
        _ scratch: UnsafeMutableRawBufferPointer
    ) {
        guard let memory = unsafe job.memory.bytes.baseAddress else { return }
        let touched = touchedPages(of: job)
        let size = digester.entryByteCount
        for first in stride(from: job.pages.lowerBound, to: job.pages.upperBound, by: 64) {
            let count = min(64, job.pages.upperBound - first)
            let place = (first - job.pages.lowerBound) * size
            let expected = unsafe UnsafeRawBufferPointer(
                rebasing: entries[place..<place + count * size]
            )
            let word = touched.words[(first - job.pages.lowerBound) / 64]
            guard unsafe digester.nonzero(expected) | word != 0 else { continue }
            let differing = unsafe digester.differing(
                UnsafeRawBufferPointer(
                    start: memory + first * targetPageByteCount,
                    count: count * targetPageByteCount
                ),
                from: expected,
                scratch: scratch
            )
            guard differing != 0 else { continue }
            bad.withLock { _ = $0[job.block].merge(differing, at: first / 64) }
        }
    }

    /// Pages of the job that have memory, from its first page on.
    private func touchedPages(of job: Job) -> PageBitmap {
        let all = PageBitmap(pageCount: job.pages.count, repeating: true)
        guard let pageMap, let base = unsafe job.memory.bytes.baseAddress else { return all }
        let hostPage = UInt64(MemoryMapping.hostPageByteCount)
        let start = unsafe UInt64(
            UInt(bitPattern: base + job.pages.lowerBound * targetPageByteCount)
        )
        let byteCount = UInt64(job.pages.count * targetPageByteCount)
        guard start % hostPage == 0 else { return all }
        var touched = PageBitmap(pageCount: job.pages.count)
        do {
            try pageMap.scan(
                .populated,
                from: UInt(start),
                byteCount: Int((byteCount + hostPage - 1) / hostPage * hostPage)
            ) { region in
                let first = Int(region.start - start) / targetPageByteCount
                let end = Int(region.end - start) / targetPageByteCount
                touched.set(first..<end, to: true)
            }
        } catch {
            return all
        }
        return touched
    }
}
