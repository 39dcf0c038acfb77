import BerthMemory
import Testing

@testable import BerthWorkload

/// What is written into a page.
@Suite(.timeLimit(.minutes(10)))
struct PageContentTests {
    private static let full: [WorkloadPattern] = [.random, .sequential, .zipf]

    @Test(arguments: full)
    func `pages written in full have no word twice, and every byte as often as any other`(
        _ pattern: WorkloadPattern
    ) {
        let content = PageContent(of: pattern)
        var words = Set<UInt64>()
        var bytes = [Double](repeating: 0, count: 256)
        for page: UInt32 in 0..<64 {
            for count: UInt32 in 1...2 {
                let written = write(content, PageStamp(count: count, page: page))
                words.formUnion(written)
                // The stamp itself is not like the rest.
                for word in written.dropFirst() {
                    withUnsafeBytes(of: word) { $0.forEach { bytes[Int($0)] += 1 } }
                }
            }
        }
        #expect(words.count == 64 * 2 * 512)
        // Chi-square with 255 degrees of freedom: 255 on average, above 360 hardly ever.
        let even = 64.0 * 2 * 511 * 8 / 256
        let square = bytes.reduce(0) { $0 + ($1 - even) * ($1 - even) / even }
        #expect(square < 360)
    }

    @Test(arguments: WorkloadPattern.allCases)
    func `a page holds what was written, and nothing else`(_ pattern: WorkloadPattern) {
        let content = PageContent(of: pattern)
        let stamp = PageStamp(count: 7, page: 9)
        var words = write(content, stamp)
        #expect(words[0] == stamp.rawValue && stamp.count == 7 && stamp.page == 9)
        #expect(content.isHeld(by: words, with: stamp))
        #expect(!content.isHeld(by: words, with: PageStamp(count: 8, page: 9)))
        for index in words.indices {
            words[index] ^= 1 << UInt64(index % 64)
            #expect(!content.isHeld(by: words, with: stamp), "word \(index)")
            words[index] ^= 1 << UInt64(index % 64)
        }
        let zero = [UInt64](repeating: 0, count: 512)
        #expect(content.isHeld(by: zero, with: PageStamp(rawValue: 0)))
    }

    @Test func `increment leaves the bytes between its stamps alone`() {
        let words = write(PageContent(of: .increment), PageStamp(count: 3, page: 4))
        for (index, word) in words.enumerated() {
            #expect(word == (index % 8 == 0 ? 3 << 32 | 4 : 0))
        }
    }

    private func write(_ content: PageContent, _ stamp: PageStamp) -> [UInt64] {
        [UInt64](unsafeUninitializedCapacity: 512) { buffer, count in
            buffer.initialize(repeating: 0)
            if let base = buffer.baseAddress { content.write(stamp, to: base) }
            count = 512
        }
    }
}
