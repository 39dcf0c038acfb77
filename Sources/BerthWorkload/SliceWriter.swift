import BerthMemory
import BerthSystem
import Glibc
import Synchronization

/// One thread of a workload: waits until it may write, and writes its slice.
///
/// The loop over the pages allocates nothing, takes no lock and sleeps only where it can be woken.
struct SliceWriter {
    /// Pages between two looks at rates and throttle.
    private static let batchPageCount = 256

    private let control: WorkloadControl
    private let slice: WorkloadSlice
    private let seed: UInt64
    private let content: PageContent
    private var choice: PageChoice
    private var pacer = Pacer()
    private var duty = DutyCycle()
    private var meter = ThroughputMeter()

    init(_ control: WorkloadControl, _ slice: WorkloadSlice, seed: UInt64) {
        self.control = control
        self.slice = slice
        self.seed = seed
        let pattern = control.plan.pattern
        content = PageContent(of: pattern)
        choice = PageChoice(pattern, pageCount: slice.pages.count, seed: seed)
    }

    /// Serves the slice until the workload ends.
    mutating func run() {
        while true {
            // Whoever pauses stores the mode and then looks at isParked; here it is the other way
            // round. So one of the two sees the other, whatever the order.
            slice.isParked.store(false, ordering: .sequentiallyConsistent)
            let mode = control.mode.load(ordering: .sequentiallyConsistent)
            if mode == .running, isReady() {
                write()
            }
            slice.isParked.store(true, ordering: .sequentiallyConsistent)
            control.settled.signal()
            // Looked at once more: a sleep in between may have used up the signal of the end.
            if control.mode.load(ordering: .sequentiallyConsistent) == .ended { return }
            sleep(nil)
        }
    }

    /// Whether this slice, and the others, may be written; checks this one if nobody has.
    private mutating func isReady() -> Bool {
        let number = control.contentNumber.load(ordering: .acquiring)
        if slice.checkedContent.load(ordering: .acquiring) != number {
            let plan = control.plan
            let check = SliceCheck(of: plan.block, pages: slice.pages, pattern: plan.pattern) {
                control.isRunning
            }
            guard let check else { return false }
            choice = PageChoice(
                plan.pattern,
                pageCount: slice.pages.count,
                position: check.position,
                seed: seed
            )
            slice.writes.store(check.report.writes, ordering: .relaxed)
            if check.report.verdict == .corrupt {
                control.evidence.withLock { evidence in
                    var all = evidence ?? WorkloadReport(verdict: .corrupt, writes: 0)
                    all.add(check.report)
                    evidence = all
                }
            }
            slice.checkedContent.store(number, ordering: .releasing)
            // Those that have finished earlier are waiting for this one.
            control.wakeAll()
        }
        return control.isChecked
    }

    /// Writes pages until the mode changes.
    private mutating func write() {
        var now = Self.clock()
        pacer.start(at: now)
        duty.start(at: now)
        meter.start(at: now)
        slice.throughput.store(0, ordering: .relaxed)
        while control.isRunning {
            pacer.setRate(bytesPerSecond: control.bytesPerSecond(of: slice))
            let batch = pacer.take(at: now, atMost: Self.batchPageCount)
            if batch > 0 {
                writeBatch(batch, &now)
                meter.add(batch)
            } else {
                sleep(duty.clamp(pacer.delay, throttle: throttle))
                now = Self.clock()
            }
            if let rate = meter.rate(at: now) {
                slice.throughput.store(rate, ordering: .relaxed)
            }
            rest(&now)
        }
    }

    @inline(__always)
    private mutating func writeBatch(_ pageCount: Int, _ now: inout UInt64) {
        let block = control.plan.block
        let base = unsafe block.base
        let first = slice.pages.lowerBound
        var writes = slice.writes.load(ordering: .relaxed)
        for _ in 0..<pageCount {
            guard control.isRunning else { return }
            let page = first &+ choice.next()
            let words = unsafe (base + page &* targetPageByteCount)
                .assumingMemoryBound(to: UInt64.self)
            let old = unsafe PageStamp(rawValue: words[0])
            let stamp = PageStamp(
                count: PageStamp.count(after: old.count),
                page: UInt32(truncatingIfNeeded: page)
            )
            unsafe content.write(stamp, to: words)
            block.dirtyLog.mark(page: page)
            writes &+= 1
            slice.writes.store(writes, ordering: .relaxed)

            let end = Self.clock()
            let time = end &- now
            if time > slice.longestWrite.load(ordering: .relaxed) {
                slice.longestWrite.store(time, ordering: .relaxed)
            }
            now = end
        }
    }

    /// Sleeps as the throttle demands, if it is time to.
    private mutating func rest(_ now: inout UInt64) {
        guard duty.isOver(at: now) else { return }
        let begin = now
        while control.isRunning {
            // The percentage may change while this sleeps.
            let end = begin &+ duty.rest(after: begin, throttle: throttle)
            guard now < end else { break }
            sleep(end - now)
            now = Self.clock()
        }
        // What was slept earns no pages, or a throttled workload would catch up.
        pacer.skip(from: begin, to: now)
        duty.next(after: begin, at: now, throttle: throttle)
    }

    private var throttle: Int { control.throttle.load(ordering: .relaxed) }

    /// Sleeps until woken or until the time is up; `nil` is for ever.
    private func sleep(_ nanoseconds: UInt64?) {
        let timeout = nanoseconds.map { Duration.nanoseconds(Int64(clamping: $0)) }
        // A failure would be that of a descriptor that this object keeps open.
        guard (try? Poll.wait(for: slice.wake.raw, .input, timeout: timeout)) != .timedOut
        else { return }
        slice.wake.clear()
    }

    @inline(__always)
    private static func clock() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000
            &+ UInt64(truncatingIfNeeded: time.tv_nsec)
    }
}
