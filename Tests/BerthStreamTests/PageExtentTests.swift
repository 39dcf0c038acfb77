import BerthMemory
import Testing

@testable import BerthStream

/// Which pages are written together.
@Suite struct PageExtentTests {
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 16)

    private func extent(_ pages: Range<Int>, block: Int = 0, moved: Int = 0) -> PageExtent {
        var extent = PageExtent()
        extent.block = block
        extent.offset = pages.lowerBound * targetPageByteCount
        extent.byteCount = pages.count * targetPageByteCount
        // Never touched: only addresses are compared.
        extent.base = memory.baseAddress.map { $0 + extent.offset + moved }
        return extent
    }

    @Test func `pages that follow are joined, through the page cache without a gap`() {
        var first = extent(3..<5)
        let limit = PageExtent.Limit(isDirect: false)
        #expect(first.join(extent(5..<9), within: limit)?.isEmpty == true)
        #expect(first.byteCount == 6 * targetPageByteCount)
        #expect(first.join(extent(10..<11), within: limit) == nil)
        #expect(first.byteCount == 6 * targetPageByteCount)
        memory.deallocate()
    }

    @Test func `a direct write takes small gaps along`() {
        let limit = PageExtent.Limit(isDirect: true)
        let most = limit.gapByteCount / targetPageByteCount
        var first = extent(0..<1)
        #expect(
            first.join(extent(1 + most..<3 + most), within: limit)
                == targetPageByteCount..<(1 + most) * targetPageByteCount
        )
        #expect(first.byteCount == (3 + most) * targetPageByteCount)
        #expect(first.join(extent(4 + most + most..<5 + most + most), within: limit) == nil)
        memory.deallocate()
    }

    @Test func `what lies elsewhere, before, or in another block is not joined`() {
        let limit = PageExtent.Limit(isDirect: true)
        var first = extent(4..<6)
        #expect(first.join(extent(6..<7, moved: 8), within: limit) == nil)
        #expect(first.join(extent(5..<7), within: limit) == nil)
        #expect(first.join(extent(0..<2), within: limit) == nil)
        #expect(first.join(extent(6..<7, block: 1), within: limit) == nil)
        var none = PageExtent()
        #expect(none.join(extent(0..<1), within: limit) == nil)
        memory.deallocate()
    }

    @Test(arguments: [true, false])
    func `a write has a largest size`(isDirect: Bool) {
        let limit = PageExtent.Limit(isDirect: isDirect)
        let most = limit.byteCount / targetPageByteCount
        var first = extent(0..<most - 1)
        #expect(first.join(extent(most - 1..<most + 1), within: limit) == nil)
        #expect(first.join(extent(most - 1..<most), within: limit) != nil)
        memory.deallocate()
    }
}
