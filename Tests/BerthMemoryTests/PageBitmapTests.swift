import BerthMemory
import BerthTestSupport
import Testing

/// The bitmap against the simplest model of a set of pages.
@Suite struct PageBitmapTests {
    /// Sizes around every border: empty, one word, whole words, one more, one less.
    private static let pageCounts = [0, 1, 63, 64, 65, 127, 128, 1000]

    private func pages(of bitmap: PageBitmap) -> Set<Int> {
        Set((0..<bitmap.pageCount).filter { bitmap[$0] })
    }

    @Test(arguments: pageCounts)
    func `random changes leave what a set of integers leaves`(_ pageCount: Int) {
        var generator = SeededGenerator()
        var bitmap = PageBitmap(pageCount: pageCount)
        var model: Set<Int> = []
        for _ in 0..<300 {
            let bounds = [0, 1].map { _ in Int.random(in: 0...pageCount + 70, using: &generator) }
            let range = bounds[0] < bounds[1] ? bounds[0]..<bounds[1] : bounds[1]..<bounds[0]
            let inside = range.clamped(to: 0..<pageCount)
            switch Int.random(in: 0..<3, using: &generator) {
            case 0:
                bitmap.set(range, to: true)
                model.formUnion(inside)
            case 1:
                bitmap.set(range, to: false)
                model.subtract(inside)
            default:
                let word = generator.next()
                let index = Int.random(in: 0...pageCount / 64 + 1, using: &generator)
                let added = (0..<64).filter { word >> UInt64($0) & 1 == 1 }.map { index * 64 + $0 }
                    .filter { $0 < pageCount }
                let fresh = bitmap.merge(word, at: index)
                #expect(fresh == Set(added).subtracting(model).count, "seed \(generator.seed)")
                model.formUnion(added)
            }
            #expect(pages(of: bitmap) == model, "seed \(generator.seed)")
            #expect(bitmap.count == model.count, "seed \(generator.seed)")
        }
    }

    @Test(arguments: pageCounts)
    func `runs cover exactly the pages, and none is cut without a limit`(_ pageCount: Int) {
        var generator = SeededGenerator()
        for density in [0.01, 0.5, 0.99] {
            var bitmap = PageBitmap(pageCount: pageCount)
            for page in 0..<pageCount
            where Double.random(in: 0..<1, using: &generator) < density {
                bitmap.set(page..<page + 1, to: true)
            }
            for value in [true, false] {
                var found: Set<Int> = []
                var next = 0
                while let run = bitmap.nextRun(of: value, from: next) {
                    #expect(run.lowerBound >= next && !run.isEmpty)
                    #expect(run.lowerBound == 0 || bitmap[run.lowerBound - 1] != value)
                    #expect(run.upperBound == pageCount || bitmap[run.upperBound] != value)
                    found.formUnion(run)
                    next = run.upperBound
                }
                #expect(
                    found == Set((0..<pageCount).filter { bitmap[$0] == value }),
                    "seed \(generator.seed)"
                )
            }
        }
    }

    @Test func `a limit cuts a run`() {
        let bitmap = PageBitmap(pageCount: 200, repeating: true)
        #expect(bitmap.nextRun(from: 3, limit: 70) == 3..<73)
        #expect(bitmap.nextRun(from: 190, limit: 70) == 190..<200)
        #expect(bitmap.nextRun(from: 200) == nil)
        #expect(bitmap.nextRun(from: -1) == nil)
    }

    @Test(arguments: pageCounts)
    func `bytes of an image give the bitmap back`(_ pageCount: Int) {
        var generator = SeededGenerator()
        var bitmap = PageBitmap(pageCount: pageCount)
        for index in 0..<(pageCount + 63) / 64 {
            _ = bitmap.merge(generator.next(), at: index)
        }
        let bytes = bitmap.littleEndianBytes
        #expect(bytes.count == (pageCount + 63) / 64 * 8)
        for page in 0..<pageCount {
            #expect(bitmap[page] == (bytes[page / 8] >> UInt8(page % 8) & 1 == 1))
        }
        #expect(PageBitmap(pageCount: pageCount, littleEndianBytes: bytes) == bitmap)
    }

    @Test func `bits past the last page and missing bytes are ignored`() {
        let all = PageBitmap(
            pageCount: 70,
            littleEndianBytes: [UInt8](repeating: 0xff, count: 16)
        )
        #expect(all.count == 70)
        #expect(all == PageBitmap(pageCount: 70, repeating: true))
        let short = PageBitmap(pageCount: 70, littleEndianBytes: [0xff])
        #expect(short.count == 8)
        #expect(!short[70] && !short[-1])
    }
}
