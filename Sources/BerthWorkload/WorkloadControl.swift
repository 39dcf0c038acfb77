import BerthMemory
import BerthSystem
import Synchronization

/// What a workload's threads and its owner share.
final class WorkloadControl: Sendable {
    /// What the threads are to do.
    enum Mode: UInt8, AtomicRepresentable {
        case paused
        case running
        case ended
    }

    let plan: WorkloadPlan
    let slices: [WorkloadSlice]
    /// What the threads are to do; they look at it before each page.
    let mode = Atomic(Mode.paused)
    /// Raised by a thread that has stopped writing.
    let settled: WakeEvent
    /// Percent of their time that the threads lose, 0 to 99.
    let throttle = Atomic(0)
    /// Goes up when the memory gets other content; a slice is written only by who has checked it.
    let contentNumber: Atomic<UInt64>
    /// The faults that were found, if any: they stay, and nothing is written any more.
    let evidence = Mutex<WorkloadReport?>(nil)

    /// - Parameter isZero: the memory is known to be zero, so that there is nothing to check.
    init(_ plan: WorkloadPlan, _ slices: [Range<Int>], isZero: Bool) throws(SystemCallError) {
        self.plan = plan
        settled = try WakeEvent()
        contentNumber = Atomic(isZero ? 0 : 1)
        var made: [WorkloadSlice] = []
        for (number, pages) in slices.enumerated() {
            made.append(try WorkloadSlice(number: number, pages: pages))
        }
        self.slices = made
    }

    @inline(__always)
    var isRunning: Bool { mode.load(ordering: .relaxed) == .running }

    var isCorrupt: Bool { evidence.withLock { $0 != nil } }

    /// Whether all threads have found their slices to be in order.
    var isChecked: Bool {
        let number = contentNumber.load(ordering: .acquiring)
        return slices.allSatisfy { $0.checkedContent.load(ordering: .acquiring) == number }
            && !isCorrupt
    }

    /// Makes all threads look at what they are to do.
    func wakeAll() {
        for slice in slices {
            slice.wake.signal()
        }
    }

    /// Bytes per second that a thread may write; 0 for no limit.
    func bytesPerSecond(of slice: WorkloadSlice) -> Double {
        let share = Double(plan.bytesPerSecond) / Double(plan.threadCount)
        let limit = Double(slice.limit.load(ordering: .relaxed))
        guard share > 0, limit > 0 else { return max(share, limit) }
        return min(share, limit)
    }
}

/// The pages of one thread, and what others see of the thread.
final class WorkloadSlice: Sendable {
    /// Number of the thread.
    let number: Int
    /// Its pages, in the block.
    let pages: Range<Int>
    /// Makes the thread look at what it is to do; every wait of the thread ends with it.
    let wake: WakeEvent
    /// Whether the thread can't write before it has looked at the mode once more.
    let isParked = Atomic(true)
    /// The number of the content that was found to be in order last.
    let checkedContent = Atomic<UInt64>(0)
    /// How often pages were written, here and elsewhere.
    let writes = Atomic<UInt64>(0)
    /// Bytes per second of late.
    let throughput = Atomic<UInt64>(0)
    /// Nanoseconds that the slowest write of a page took.
    let longestWrite = Atomic<UInt64>(0)
    /// Bytes per second that may be written; 0 for no limit.
    let limit = Atomic<UInt64>(0)

    init(number: Int, pages: Range<Int>) throws(SystemCallError) {
        self.number = number
        self.pages = pages
        wake = try WakeEvent()
    }
}
