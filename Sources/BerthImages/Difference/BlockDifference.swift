public import BerthMemory

/// How the pages of a block differ between two images.
public struct BlockDifference: Sendable {
    /// Name of the block.
    public let name: String
    /// Bytes of the block in the first and in the second image; nil where there is no such block.
    public let byteCounts: (first: Int?, second: Int?)
    /// Pages that differ and have content in the first image.
    public private(set) var inFirst: PageBitmap
    /// Pages that differ and have content in the second image.
    public private(set) var inSecond: PageBitmap
    /// Pages with the same content in both.
    public private(set) var same: PageBitmap

    init(name: String, byteCounts: (first: Int?, second: Int?)) {
        self.name = name
        self.byteCounts = byteCounts
        let byteCount = max(byteCounts.first ?? 0, byteCounts.second ?? 0)
        inFirst = PageBitmap(pageCount: byteCount.pageCountRoundedUp)
        inSecond = inFirst
        same = inFirst
    }

    /// Pages of the larger one.
    public var pageCount: Int { inFirst.pageCount }

    /// Pages with content in both images, but another.
    public var changed: PageBitmap { inFirst.subtracting(inFirst.subtracting(inSecond)) }

    /// Pages with content in the first image, zero in the second.
    public var onlyFirst: PageBitmap { inFirst.subtracting(inSecond) }

    /// Pages with content in the second image, zero in the first.
    public var onlySecond: PageBitmap { inSecond.subtracting(inFirst) }

    /// Pages that differ.
    public var differingPageCount: Int { inFirst.count + onlySecond.count }

    /// Whether there is nothing to tell.
    public var isSame: Bool {
        byteCounts.first == byteCounts.second && differingPageCount == 0
    }

    /// What a range of differing pages has.
    public enum Change: Sendable {
        /// Content in both images.
        case changed
        /// Content in the first image, zero in the second.
        case onlyFirst
        /// Zero in the first image, content in the second.
        case onlySecond
    }

    /// Goes through the ranges of pages that differ in the same way, in order.
    public func visitRanges<Failure>(
        _ body: (Range<Int>, Change) throws(Failure) -> Void
    ) throws(Failure) {
        var differing = inFirst
        _ = differing.formUnion(inSecond)
        var page = 0
        while let run = differing.nextRun(from: page) {
            page = run.lowerBound
            while page < run.upperBound {
                let change: Change =
                    inFirst[page] ? (inSecond[page] ? .changed : .onlyFirst) : .onlySecond
                let ends = [inFirst, inSecond].map {
                    $0.nextRun(of: !$0[page], from: page, before: run.upperBound)?.lowerBound
                }
                let end = ends.compactMap { $0 }.min() ?? run.upperBound
                try body(page..<end, change)
                page = end
            }
        }
    }

    /// Notes a page as it is in both.
    mutating func note(_ pages: Range<Int>, first isInFirst: Bool, second isInSecond: Bool) {
        inFirst.set(pages, to: isInFirst)
        inSecond.set(pages, to: isInSecond)
    }

    /// Notes pages with the same content.
    mutating func noteSame(_ pages: Range<Int>) {
        same.set(pages, to: true)
    }
}
