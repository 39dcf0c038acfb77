import Testing

@testable import BerthSystem

/// What two files have in common on their device, without files.
@Suite struct FileExtentsTests {
    private func extents(_ list: [(Range<UInt64>, UInt64)], device: UInt64 = 1) -> FileExtents {
        FileExtents(
            device: device,
            extents: list.map { FileExtents.Extent(bytes: $0.0, place: $0.1) }
        )
    }

    private func common(_ one: FileExtents, _ other: FileExtents) -> [Range<UInt64>] {
        var ranges: [Range<UInt64>] = []
        FileExtents.visitCommon(one, other) { ranges.append($0) }
        return ranges
    }

    @Test func `bytes at one place of a device are in common`() {
        let one = extents([(0..<10, 1000), (10..<30, 5000), (50..<60, 7000), (70..<80, 8000)])
        #expect(common(one, one) == [0..<10, 10..<30, 50..<60, 70..<80])
        // In other pieces; with a hole; at another place; one byte further.
        let other = extents([
            (0..<5, 1000), (5..<20, 1005), (20..<30, 5010), (50..<60, 9000), (70..<80, 8001),
        ])
        #expect(common(one, other) == [0..<5, 5..<10, 20..<30])
        #expect(common(other, one) == [0..<5, 5..<10, 20..<30])
    }

    @Test func `devices and empty parts have nothing in common`() {
        let one = extents([(0..<10, 1000)])
        #expect(common(one, extents([(0..<10, 1000)], device: 2)).isEmpty)
        #expect(common(one, extents([])).isEmpty)
        #expect(common(extents([]), one).isEmpty)
        #expect(common(one, extents([(10..<20, 1010)])).isEmpty)
    }
}
