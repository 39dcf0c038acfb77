import BerthMemory
import BerthSystem
import Synchronization

/// Threads that write guest memory while the guest runs, such that the memory can be checked.
///
/// Every page holds a stamp: in its first word, how often it was written and its number in the
/// block. All else that is written into the page follows from the stamp (see `WorkloadPattern`). So
/// a page that is torn or in the wrong place shows. Patterns that go by order also prove that no
/// page is older than it should be; for the others `WorkloadReport.writes` does, compared with
/// another side's.
///
/// Each thread owns a contiguous slice of the range. A thread's position and counts are found again
/// in the memory, so that a workload of the same plan goes on after a restore elsewhere.
///
/// A paused workload costs no CPU: its threads sleep until they are resumed.
public final class Workload: Sendable {
    private struct State {
        var isEnded = false
        /// The content is still to come, so that what is there proves nothing.
        var awaitsContent: Bool
    }

    private let control: WorkloadControl
    private let threads: [NamedThread]
    // Held during whatever starts or stops the threads, or needs them to stay stopped.
    private let state: Mutex<State>

    /// Checks the plan and the memory, and starts the threads, paused.
    ///
    /// Reads the whole range unless the memory is known to be zero.
    /// - Parameter expectsContent: a migration will bring the content, so that what is there doesn't
    ///   matter; it is checked before the first write.
    /// - Throws: `WorkloadError` if the range doesn't fit the memory or the threads, if it holds
    ///   something else than zeros or this plan's pages, or if the system is out of threads.
    public init(_ plan: WorkloadPlan, expectsContent: Bool = false) throws(WorkloadError) {
        let slices = try plan.slices()
        let isZero = !expectsContent && plan.block.takeUntouched()
        if !expectsContent, !isZero {
            try Self.checkContent(of: plan, slices)
        }
        do {
            let control = try WorkloadControl(plan, slices, isZero: isZero)
            self.control = control
            threads = try Self.startThreads(control)
        } catch {
            throw WorkloadError(
                "cannot start the \(plan.threadCount) threads of workload '\(plan.id)': "
                    + "\(error)",
                hint: "ask for fewer threads, or raise the limits of threads and open files"
            )
        }
        state = Mutex(State(awaitsContent: expectsContent))
    }

    deinit {
        finish()
    }

    /// Lets the threads write.
    ///
    /// Does nothing once the memory was found corrupt: the evidence is kept.
    public func resume() {
        state.withLock { state in
            guard !state.isEnded, !control.isCorrupt else { return }
            if state.awaitsContent {
                _ = control.plan.block.takeUntouched()
                state.awaitsContent = false
            }
            control.mode.store(.running, ordering: .sequentiallyConsistent)
            control.wakeAll()
        }
    }

    /// Stops the threads.
    ///
    /// - Parameter limit: how long to wait for them; a thread may be held in a page fault.
    /// - Returns: true if no byte changes any more and every write is marked in the dirty log;
    ///   false if that took too long, and the threads go on as before.
    @available(*, noasync, message: "blocks its thread")
    public func pause(within limit: Duration) -> Bool {
        state.withLock { _ in
            // Paused it is only if all threads had stopped.
            guard control.isRunning else { return true }
            let deadline = ContinuousClock.now + limit
            control.mode.store(.paused, ordering: .sequentiallyConsistent)
            control.wakeAll()
            while true {
                control.settled.clear()
                if areParked { return true }
                let left = ContinuousClock.now.duration(to: deadline)
                guard left > .zero else { break }
                _ = try? Poll.wait(for: control.settled.raw, .input, timeout: left)
            }
            control.mode.store(.running, ordering: .sequentiallyConsistent)
            control.wakeAll()
            return false
        }
    }

    /// Ends the threads and waits until they have; the workload can't be used any more.
    ///
    /// Waits for as long as a thread is held in a page fault.
    @available(*, noasync, message: "blocks its thread")
    public func end() {
        finish()
    }

    /// Says that a migration has brought other content.
    ///
    /// Each thread checks its slice before its next write, and none writes before all have found
    /// theirs in order. What was found before counts no more. Only while paused.
    public func contentReplaced() {
        state.withLock { state in
            state.awaitsContent = false
            control.evidence.withLock { $0 = nil }
            control.contentNumber.add(1, ordering: .acquiringAndReleasing)
        }
    }

    /// Takes time away from the threads: after each 10 ms they sleep as long as it needs.
    ///
    /// - Parameter percentage: of their time, 0 (nothing) to 99; other values are clamped.
    public func throttle(percentage: Int) {
        control.throttle.store(min(max(percentage, 0), 99), ordering: .relaxed)
        control.wakeAll()
    }

    /// Limits what one thread writes, below its share of the plan's rate.
    ///
    /// - Parameters:
    ///   - thread: 0 to the plan's number of threads - 1; others don't exist, and aren't limited.
    ///   - bytesPerSecond: each page counts in full; nil or 0 for no limit.
    public func limitDirtyRate(thread: Int, bytesPerSecond: UInt64?) {
        guard control.slices.indices.contains(thread) else { return }
        let slice = control.slices[thread]
        slice.limit.store(bytesPerSecond ?? 0, ordering: .relaxed)
        slice.wake.signal()
    }

    /// Measures the longest write anew.
    public func beginMeasurement() {
        for slice in control.slices {
            slice.longestWrite.store(0, ordering: .relaxed)
        }
    }

    /// What it was asked to do.
    public var plan: WorkloadPlan { control.plan }

    /// What it does right now; costs a look at each thread.
    public var status: WorkloadStatus {
        let isRunning = control.isRunning && !control.isCorrupt
        let threads = control.slices.map { slice in
            let limit = slice.limit.load(ordering: .relaxed)
            return WorkloadStatus.Thread(
                throughput: isRunning ? slice.throughput.load(ordering: .relaxed) : 0,
                limit: limit == 0 ? nil : limit
            )
        }
        return WorkloadStatus(
            isRunning: isRunning,
            writes: control.slices.reduce(0) { $0 &+ $1.writes.load(ordering: .relaxed) },
            throughput: threads.reduce(0) { $0 &+ $1.throughput },
            longestWrite: control.slices
                .map { $0.longestWrite.load(ordering: .relaxed) }.max() ?? 0,
            throttle: control.throttle.load(ordering: .relaxed),
            threads: threads
        )
    }

    /// Looks at every byte that the workload owns, if it is paused.
    ///
    /// Runs at the speed of memory; `resume` waits for it. Once pages were found to be corrupt that
    /// stays so, and nothing is written any more.
    /// - Returns: a verdict of `unchecked` while it writes, and while content is still to come.
    @available(*, noasync, message: "blocks its thread")
    public func check() -> WorkloadReport {
        state.withLock { state in
            // Nobody writes: a pause that failed would have set the mode back.
            guard !state.awaitsContent, !control.isRunning else {
                return control.evidence.withLock { $0 }
                    ?? WorkloadReport(verdict: .unchecked, writes: status.writes)
            }
            let report = Self.examine(control.plan, control.slices.map(\.pages))
            return control.evidence.withLock { evidence in
                if report.verdict == .corrupt { evidence = report }
                return evidence ?? report
            }
        }
    }

    /// Whether no thread writes, if the mode tells them not to.
    ///
    /// A thread that was woken for nothing unparks for a moment, and writes nothing.
    private var areParked: Bool {
        control.slices.allSatisfy { $0.isParked.load(ordering: .sequentiallyConsistent) }
    }

    private func finish() {
        state.withLock { state in
            guard !state.isEnded else { return }
            state.isEnded = true
            Self.end(control, threads)
        }
    }

    private static func end(_ control: WorkloadControl, _ threads: [NamedThread]) {
        control.mode.store(.ended, ordering: .sequentiallyConsistent)
        control.wakeAll()
        for thread in threads {
            thread.join()
        }
    }

    private static func startThreads(
        _ control: WorkloadControl
    ) throws(SystemCallError) -> [NamedThread] {
        var threads: [NamedThread] = []
        for slice in control.slices {
            do {
                let seed = UInt64.random(in: .min ... .max)
                let thread = try NamedThread.start(name: "berth-guest-\(slice.number)") {
                    var writer = SliceWriter(control, slice, seed: seed)
                    writer.run()
                }
                threads.append(thread)
            } catch {
                end(control, threads)
                throw error
            }
        }
        return threads
    }

    private static func examine(_ plan: WorkloadPlan, _ slices: [Range<Int>]) -> WorkloadReport {
        var report = WorkloadReport(verdict: .clean, writes: 0)
        for pages in slices {
            guard let check = SliceCheck(of: plan.block, pages: pages, pattern: plan.pattern)
            else { continue }
            report.add(check.report)
        }
        return report
    }

    private static func checkContent(
        of plan: WorkloadPlan,
        _ slices: [Range<Int>]
    ) throws(WorkloadError) {
        let report = examine(plan, slices)
        guard let fault = report.faults.first else { return }
        throw WorkloadError(
            "cannot create workload '\(plan.id)': memory '\(plan.block.id)' holds something "
                + "else than its pages at byte \(fault.offset)",
            hint: "use memory that is all zero, or that a workload with the same start, size, "
                + "pattern and threads has written"
        )
    }
}
