import BerthMemory
import BerthStream
import Glibc

/// Compares the pages of two images.
///
/// Function: the first image is gone through in order; of the second the same places are read. What
/// neither has, by its bitmap or because its file has a hole there, isn't read. A page that is stored
/// as content but is zero counts as zero.
@safe
final class PageComparison {
    private let first: ImagePages
    private let second: ImagePages
    private let progress: ((StreamProgress) -> Void)?
    private var done = StreamProgress()

    private static let bufferByteCount = 1 << 20
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: bufferByteCount,
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
            differences.append(try compare(index, with: other))
        }
        for (index, block) in second.blocks.enumerated()
        where !first.blocks.contains(where: { $0.name == block.name }) {
            var difference = BlockDifference(
                name: block.name,
                byteCounts: (first: nil, second: block.byteCount)
            )
            try noteZeros(0..<block.byteCount, index, &difference)
            differences.append(difference)
        }
        return differences
    }

    private func compare(_ index: Int, with other: Int?) throws(ImageError) -> BlockDifference {
        let block = first.blocks[index]
        let otherByteCount = other.map { second.blocks[$0].byteCount }
        var difference = BlockDifference(
            name: block.name,
            byteCounts: (first: block.byteCount, second: otherByteCount)
        )
        try first.visitRuns(ofBlock: index) { (run: PageRun) throws(ImageError) in
            let bytes = run.offset..<run.offset + run.byteCount
            if let content = unsafe run.bytes {
                try unsafe compare(
                    UnsafeRawBufferPointer(content),
                    at: run.offset,
                    other,
                    &difference
                )
                done.dataPageCount += UInt64(run.byteCount.pageCountRoundedUp)
            } else {
                try noteZeros(bytes, other, &difference)
                done.zeroPageCount += UInt64(run.byteCount.pageCountRoundedUp)
            }
            done.streamByteCount = done.dataPageCount * UInt64(targetPageByteCount)
            progress?(done)
        }
        if let otherByteCount, otherByteCount > block.byteCount {
            try noteZeros(block.byteCount..<otherByteCount, other, &difference)
        }
        return difference
    }

    /// Compares content of the first image, at most a buffer of it, with the same place in the other.
    private func compare(
        _ content: UnsafeRawBufferPointer,
        at offset: Int,
        _ other: Int?,
        _ difference: inout BlockDifference
    ) throws(ImageError) {
        let there = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<content.count])
        try unsafe readSecond(other, offset, there)
        guard let one = content.baseAddress, let two = there.baseAddress else { return }
        let start = offset / targetPageByteCount
        var page = 0
        while page < content.count.pageCountRoundedUp {
            let place = page * targetPageByteCount
            let fate = unsafe leadingFate(
                of: one + place,
                pageCount: content.count.pageCountRoundedUp - page
            )
            for page in page..<page + fate.pageCount {
                let place = page * targetPageByteCount
                let pages = start + page..<start + page + 1
                if unsafe memcmp(one + place, two + place, targetPageByteCount) != 0 {
                    let isInSecond = unsafe !isZero(two + place, byteCount: targetPageByteCount)
                    difference.note(pages, first: !fate.isZero, second: isInSecond)
                } else if !fate.isZero {
                    difference.noteSame(pages)
                }
            }
            page += fate.pageCount
        }
    }

    /// Reads of the second image what it has there; zeros where the block is shorter.
    private func readSecond(
        _ block: Int?,
        _ offset: Int,
        _ target: UnsafeMutableRawBufferPointer
    ) throws(ImageError) {
        let byteCount = block.map { second.blocks[$0].byteCount } ?? 0
        let present = min(target.count, max(0, byteCount - offset))
        if let block, present > 0 {
            try unsafe second.read(
                block: block,
                offset: offset,
                into: UnsafeMutableRawBufferPointer(rebasing: target[..<present])
            )
        }
        unsafe UnsafeMutableRawBufferPointer(rebasing: target[present...])
            .initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// Notes the content that the second image has where the first has none.
    private func noteZeros(
        _ bytes: Range<Int>,
        _ other: Int?,
        _ difference: inout BlockDifference
    ) throws(ImageError) {
        guard let other else { return }
        let present = second.data(ofBlock: other)
        let limit = Self.bufferByteCount / targetPageByteCount
        var next = bytes.lowerBound / targetPageByteCount
        let end = bytes.upperBound / targetPageByteCount
        while let run = present.nextRun(from: next, before: end, limit: limit) {
            next = run.upperBound
            let target = unsafe UnsafeMutableRawBufferPointer(
                rebasing: buffer[..<(run.count * targetPageByteCount)]
            )
            try unsafe readSecond(other, run.lowerBound * targetPageByteCount, target)
            guard let base = target.baseAddress else { return }
            var page = 0
            while page < run.count {
                let fate = unsafe leadingFate(
                    of: base + page * targetPageByteCount,
                    pageCount: run.count - page
                )
                if !fate.isZero {
                    let start = run.lowerBound + page
                    difference.note(start..<start + fate.pageCount, first: false, second: true)
                }
                page += fate.pageCount
            }
        }
    }
}
