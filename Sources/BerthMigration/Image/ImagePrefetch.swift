import BerthMemory
import BerthQAPI
import BerthSystem
import Synchronization

/// Brings the pages of an image in, in the background, before the guest touches them.
final class ImagePrefetch: Sendable {
    /// How far it is.
    struct Progress: Sendable {
        var state = MappedRAMPrefetchState.active
        var byteCount: UInt64 = 0
    }

    /// A block and its pages that have content.
    struct Part: Sendable {
        let mapping: MemoryMapping
        let present: PageBitmap
    }

    private let box: Box

    /// What the thread works on; it must not keep the prefetch itself alive.
    private final class Box: Sendable {
        let progress = Mutex(Progress())
        let isStopped = Atomic<Bool>(false)
    }

    /// 2 MiB: short enough to end soon, long enough for the disk.
    private static let stepPageCount = 512

    /// Begins.
    ///
    /// - Throws: `SystemCallError` if the system is out of threads.
    init(_ parts: [Part]) throws(SystemCallError) {
        let box = Box()
        self.box = box
        try NamedThread.start(name: "berth-prefetch") {
            NamedThread.giveWay()
            let isWhole = parts.allSatisfy { Self.fetch($0, box) }
            box.progress.withLock { $0.state = isWhole ? .completed : .failed }
        }
    }

    deinit { end() }

    /// How far it is.
    var progress: Progress { box.progress.withLock { $0 } }

    /// Ends it, soon.
    func end() {
        box.isStopped.store(true, ordering: .relaxed)
    }

    /// Brings one block in.
    ///
    /// - Returns: false if the file gave no more, or if it was ended.
    private static func fetch(_ part: Part, _ box: Box) -> Bool {
        var next = part.present.nextRun(from: 0, limit: stepPageCount)
        while let run = next {
            next = part.present.nextRun(from: run.upperBound, limit: stepPageCount)
            if box.isStopped.load(ordering: .relaxed) { return false }
            // The disk works while these pages are put into place.
            if let next { part.mapping.readAhead(bytes(next)) }
            do {
                try part.mapping.fetch(bytes(run))
            } catch {
                return false
            }
            box.progress.withLock { $0.byteCount += UInt64(bytes(run).count) }
        }
        return true
    }

    private static func bytes(_ pages: Range<Int>) -> Range<Int> {
        pages.lowerBound * targetPageByteCount..<pages.upperBound * targetPageByteCount
    }
}
