import BerthMemory
import BerthQAPI
import BerthSystem

/// Measures how fast a guest changes its memory; blocks its thread for as long as that takes.
struct DirtyRateMeasurement {
    let request: DirtyRateRequest
    let blocks: [RAMBlock]
    /// Ends the measurement early.
    let stop: WakeEvent

    /// MiB per second, or nil if it was stopped or writes can't be found.
    @available(*, noasync)
    func run() -> Int64? {
        request.mode == .pageSampling ? sample() : count()
    }

    /// Waits for the time of the measurement.
    ///
    /// - Returns: the time that has gone by in seconds, or nil if it is to end early.
    private func wait() -> Double? {
        let start = ContinuousClock.now
        let outcome = try? Poll.wait(
            for: stop.raw,
            .input,
            timeout: .milliseconds(request.milliseconds)
        )
        guard outcome == .timedOut else { return nil }
        return start.duration(to: .now) / .seconds(1)
    }

    private func rate(_ byteCount: Double, _ seconds: Double) -> Int64 {
        Int64(byteCount / Double(1 << 20) / seconds)
    }

    // MARK: dirty-bitmap

    private func count() -> Int64? {
        var clients: [DirtyClient] = []
        defer { clients.forEach { $0.end() } }
        for block in blocks {
            guard let client = try? block.tracking.begin() else { return nil }
            clients.append(client)
        }
        guard let seconds = wait() else { return nil }
        var pageCount = 0
        for (block, client) in zip(blocks, clients) {
            var bitmap = PageBitmap(pageCount: block.pageCount)
            guard let found = try? client.collect(into: &bitmap) else { return nil }
            pageCount += found
        }
        return rate(Double(pageCount) * Double(targetPageByteCount), seconds)
    }

    // MARK: page-sampling

    private struct Sample {
        let block: RAMBlock
        let page: Int
        let digest: UInt64
    }

    private func sample() -> Int64? {
        var samples: [Sample] = []
        for block in blocks {
            let share = Double(block.byteCount) / Double(1 << 30) * Double(request.samplePages)
            for _ in 0..<min(max(Int(share), 1), block.pageCount) {
                let page = Int.random(in: 0..<block.pageCount)
                samples.append(
                    Sample(block: block, page: page, digest: block.digest(of: page..<page + 1))
                )
            }
        }
        guard !samples.isEmpty else { return 0 }
        guard let seconds = wait() else { return nil }
        let changed = samples.count { $0.block.digest(of: $0.page..<$0.page + 1) != $0.digest }
        let byteCount = blocks.reduce(0) { $0 + Double($1.byteCount) }
        return rate(byteCount * Double(changed) / Double(samples.count), seconds)
    }
}
