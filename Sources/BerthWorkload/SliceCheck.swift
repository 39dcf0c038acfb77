import BerthMemory

/// What the pages of one thread's slice say about themselves.
struct SliceCheck {
    /// Faults, and the sum of the counts.
    let report: WorkloadReport
    /// The page that comes next where pages are written in order, counted from the slice's start.
    let position: Int

    /// Looks at every byte of a slice that nobody writes.
    ///
    /// - Parameters:
    ///   - pages: the slice, in pages of the block.
    ///   - isWanted: asked before each page whether to go on.
    /// - Returns: nil if it wasn't wanted to the end.
    init?(
        of block: RAMBlock,
        pages: Range<Int>,
        pattern: WorkloadPattern,
        isWanted: () -> Bool = { true }
    ) {
        let content = PageContent(of: pattern)
        var counts: [UInt32] = []
        counts.reserveCapacity(pages.count)
        var faults = FaultList()
        var writes: UInt64 = 0
        for page in pages {
            guard isWanted() else { return nil }
            let words = unsafe (block.base + page * targetPageByteCount)
                .assumingMemoryBound(to: UInt64.self)
            let stamp = unsafe PageStamp(rawValue: words[0])
            guard Self.canBe(stamp, of: page) else {
                faults.add(page, .misplaced)
                counts.append(Staircase.unknown)
                continue
            }
            writes &+= UInt64(stamp.count)
            guard unsafe content.isHeld(by: words, with: stamp) else {
                faults.add(page, .torn)
                counts.append(Staircase.unknown)
                continue
            }
            counts.append(stamp.count)
        }
        position =
            pattern.isInOrder
            ? Self.findStale(counts, from: pages.lowerBound, &faults) : 0
        report = faults.report(writes: writes)
    }

    private static func canBe(_ stamp: PageStamp, of page: Int) -> Bool {
        if stamp.rawValue == 0 { return true }
        return Int(stamp.page) == page && stamp.count > 0 && stamp.count <= PageStamp.highestCount
    }

    private static func findStale(
        _ counts: [UInt32],
        from first: Int,
        _ faults: inout FaultList
    ) -> Int {
        let staircase = Staircase(fitting: counts)
        for (page, count) in counts.enumerated()
        where count != Staircase.unknown && count != staircase.count(at: page) {
            faults.add(first + page, .stale)
        }
        return staircase.step == counts.count ? 0 : staircase.step
    }
}

extension WorkloadPattern {
    /// Whether pages are written one after the other, so that their counts make a staircase.
    var isInOrder: Bool { self == .increment || self == .sequential }
}

/// Collects faults: all are counted, enough of them are kept to name the first.
private struct FaultList {
    private var faults: [WorkloadReport.Fault] = []
    private var staleFaults: [WorkloadReport.Fault] = []
    private var count = 0

    /// Adds a fault; those that are stale, and those that aren't, come in the order of pages.
    mutating func add(_ page: Int, _ kind: WorkloadReport.FaultKind) {
        count += 1
        let fault = WorkloadReport.Fault(offset: page * targetPageByteCount, kind: kind)
        if kind == .stale {
            if staleFaults.count < WorkloadReport.namedFaultCount { staleFaults.append(fault) }
        } else {
            if faults.count < WorkloadReport.namedFaultCount { faults.append(fault) }
        }
    }

    func report(writes: UInt64) -> WorkloadReport {
        var report = WorkloadReport(
            verdict: count == 0 ? .clean : .corrupt,
            faults: faults,
            faultCount: count,
            writes: writes
        )
        report.add(WorkloadReport(verdict: .clean, faults: staleFaults, writes: 0))
        return report
    }
}
