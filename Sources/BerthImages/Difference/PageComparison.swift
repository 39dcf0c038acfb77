import BerthMemory
import BerthStream
import BerthTransport
import Glibc

/// Compares the pages of two images.
///
/// Function: only pages that either image has content of are looked at, holes of a file aren't read,
/// and what two images share on the disk (copies with `cp --reflink`, images that are saved by
/// reference) isn't either. A page that is stored as content but is zero counts as zero.
@safe
final class PageComparison {
    private let first: ImagePages
    private let second: ImagePages
    private let progress: ((StreamProgress) -> Void)?
    private var done = StreamProgress()

    /// Pages that are read at once.
    private static let pageLimit = 256
    /// Room for pages of the first image, then for those of the second.
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 2 * pageLimit * targetPageByteCount,
        alignment: targetPageByteCount
    )

    init(_ first: ImagePages, _ second: ImagePages, progress: ((StreamProgress) -> Void)?) {
        self.first = first
        self.second = second
        self.progress = progress
        done.totalByteCount = first.blocks.reduce(0) { $0 + UInt64($1.byteCount) }
    }

    deinit {
        unsafe buffer.deallocate()
    }

    /// All blocks: those of the first image in its order, then those that only the second has.
    @available(*, noasync)
    func compare() throws(ImageError) -> [BlockDifference] {
        var differences: [BlockDifference] = []
        for (index, block) in first.blocks.enumerated() {
            let other = second.blocks.firstIndex { $0.name == block.name }
            differences.append(try compare(index, other, name: block.name))
        }
        for (index, block) in second.blocks.enumerated()
        where !first.blocks.contains(where: { $0.name == block.name }) {
            differences.append(try compare(nil, index, name: block.name))
        }
        return differences
    }

    private func compare(
        _ one: Int?,
        _ other: Int?,
        name: String
    ) throws(ImageError) -> BlockDifference {
        var difference = BlockDifference(
            name: name,
            byteCounts: (
                first: one.map { first.blocks[$0].byteCount },
                second: other.map { second.blocks[$0].byteCount }
            )
        )
        var present = PageBitmap(pageCount: difference.pageCount)
        for data in [one.map(first.data), other.map(second.data)] {
            _ = data.map { present.formUnion($0) }
        }
        let total = present.count
        done.zeroPageCount += UInt64(difference.pageCount - total)
        if let one, let other {
            visitShared(one, other) { pages in
                difference.noteSame(pages)
                present.set(pages, to: false)
            }
        }
        done.dataPageCount += UInt64(total - present.count)
        var page = 0
        while let run = present.nextRun(from: page, limit: Self.pageLimit) {
            page = run.upperBound
            let middle = Self.pageLimit * targetPageByteCount
            let byteCount = run.count * targetPageByteCount
            let (here, there) = unsafe (
                UnsafeMutableRawBufferPointer(rebasing: buffer[..<byteCount]),
                UnsafeMutableRawBufferPointer(rebasing: buffer[middle..<middle + byteCount])
            )
            try unsafe read(first, one, run.lowerBound, here)
            try unsafe read(second, other, run.lowerBound, there)
            unsafe compare(here, there, at: run.lowerBound, &difference)
            done.dataPageCount += UInt64(run.count)
            done.streamByteCount += UInt64(byteCount)
            progress?(done)
        }
        return difference
    }

    /// Reads of an image what it has there; zeros where the block ends before, or isn't there.
    private func read(
        _ pages: ImagePages,
        _ block: Int?,
        _ page: Int,
        _ target: UnsafeMutableRawBufferPointer
    ) throws(ImageError) {
        let byteCount = block.map { pages.blocks[$0].byteCount } ?? 0
        let offset = page * targetPageByteCount
        let present = min(target.count, max(0, byteCount - offset))
        if let block, present > 0 {
            try unsafe pages.read(
                block: block,
                offset: offset,
                into: UnsafeMutableRawBufferPointer(rebasing: target[..<present])
            )
        }
        unsafe UnsafeMutableRawBufferPointer(rebasing: target[present...])
            .initializeMemory(as: UInt8.self, repeating: 0)
    }

    private func compare(
        _ one: UnsafeMutableRawBufferPointer,
        _ other: UnsafeMutableRawBufferPointer,
        at start: Int,
        _ difference: inout BlockDifference
    ) {
        guard let one = one.baseAddress, let two = other.baseAddress else { return }
        for page in 0..<other.count / targetPageByteCount {
            let offset = page * targetPageByteCount
            let pages = start + page..<start + page + 1
            let isInFirst = unsafe !isZero(one + offset, byteCount: targetPageByteCount)
            if unsafe memcmp(one + offset, two + offset, targetPageByteCount) != 0 {
                let isInSecond = unsafe !isZero(two + offset, byteCount: targetPageByteCount)
                difference.note(pages, first: isInFirst, second: isInSecond)
            } else if isInFirst {
                difference.noteSame(pages)
            }
        }
    }

    /// Finds pages that both images have at the same place of a disk.
    private func visitShared(_ one: Int, _ other: Int, _ body: (Range<Int>) -> Void) {
        guard let offset = first.census[one].pagesOffset,
            let otherOffset = second.census[other].pagesOffset
        else { return }
        let (data, otherData) = (first.data(ofBlock: one), second.data(ofBlock: other))
        let byteCount = min(first.blocks[one].byteCount, second.blocks[other].byteCount)
        first.file.visitShared(
            from: offset,
            with: second.file,
            from: otherOffset,
            byteCount: UInt64(byteCount)
        ) { bytes in
            // What only one image counts as content is zero in the other, whatever lies there.
            var page = Int(clamping: bytes.lowerBound).pageCountRoundedUp
            let end = Int(clamping: bytes.upperBound) / targetPageByteCount
            while let run = data.nextRun(from: page, before: end) {
                page = run.upperBound
                var next = run.lowerBound
                while let both = otherData.nextRun(from: next, before: run.upperBound) {
                    next = both.upperBound
                    body(both)
                }
            }
        }
    }
}
