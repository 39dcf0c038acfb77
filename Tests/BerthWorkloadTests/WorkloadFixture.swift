import BerthMemory
import BerthSystem
import BerthWorkload
import Glibc
import Testing

/// Memory with a workload's plan for it, and ways to look at its pages and to spoil them.
struct WorkloadFixture {
    let block: RAMBlock
    var plan: WorkloadPlan

    init(
        _ pattern: WorkloadPattern,
        pageCount: Int = 64,
        rate: UInt64 = 0,
        threads: Int = 1
    ) throws {
        block = try RAMBlock(id: "ram", byteCount: pageCount * targetPageByteCount)
        plan = WorkloadPlan(
            id: "w",
            block: block,
            start: 0,
            byteCount: block.byteCount,
            pattern: pattern,
            bytesPerSecond: rate,
            threadCount: threads
        )
    }

    /// The same plan for fresh memory with a copy of this content.
    func copied() throws -> WorkloadFixture {
        let copy = try WorkloadFixture(
            plan.pattern,
            pageCount: block.pageCount,
            rate: plan.bytesPerSecond,
            threads: plan.threadCount
        )
        memcpy(copy.block.base, block.base, block.byteCount)
        // As an incoming migration does.
        _ = copy.block.takeUntouched()
        return copy
    }

    /// The words of a page.
    func words(_ page: Int) -> UnsafeMutablePointer<UInt64> {
        (block.base + page * targetPageByteCount).assumingMemoryBound(to: UInt64.self)
    }

    /// A copy of a page's words.
    func copy(_ page: Int) -> [UInt64] {
        Array(UnsafeBufferPointer(start: words(page), count: targetPageByteCount / 8))
    }

    /// Puts words into a page.
    func put(_ content: some Collection<UInt64>, into page: Int, at word: Int = 0) {
        for (index, value) in content.enumerated() {
            words(page)[word + index] = value
        }
    }

    /// Lets a workload of this plan write until all its pages were written so often.
    func fill(by workload: Workload, rounds: UInt64 = 1) {
        let first = plan.start / targetPageByteCount
        let pages = first..<(first + plan.byteCount / targetPageByteCount)
        workload.resume()
        workload.wait { pages.allSatisfy { count($0) >= rounds } }
        workload.stop()
    }

    /// How often a page was written, as it says.
    func count(_ page: Int) -> UInt64 { words(page)[0] >> 32 }
}

extension Workload {
    /// Lets it write at least so many pages, and stops it.
    func run(forWrites count: UInt64) {
        let goal = status.writes + count
        resume()
        wait { status.writes >= goal }
        stop()
    }

    /// Stops it, however long that takes.
    func stop() {
        #expect(pause(within: .seconds(60)))
    }

    /// Looks until something holds; the suites' time limit ends it if it never does.
    func wait(until condition: () -> Bool) {
        while !condition() {
            usleep(500)
        }
    }
}
