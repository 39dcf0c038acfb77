import BerthMemory
import Testing

/// Telling zero pages from others.
@Suite struct ZeroPageTests {
    @Test func `any single byte makes a page no zero page`() throws {
        let block = try RAMBlock(id: "ram", byteCount: targetPageByteCount)
        #expect(isZero(block.base, byteCount: targetPageByteCount))
        for offset in 0..<targetPageByteCount {
            block.base.storeBytes(of: 0x80, toByteOffset: offset, as: UInt8.self)
            #expect(!isZero(block.base, byteCount: targetPageByteCount), "byte \(offset)")
            block.base.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self)
        }
        #expect(isZero(block.base, byteCount: targetPageByteCount))
    }

    @Test func `a leading run ends where the fate changes`() throws {
        let block = try RAMBlock(id: "ram", byteCount: 8 * targetPageByteCount)
        for page in [3, 4, 7] {
            let end = page * targetPageByteCount + targetPageByteCount - 1
            block.base.storeBytes(of: 1, toByteOffset: end, as: UInt8.self)
        }
        let expected = [
            PageFate(isZero: true, pageCount: 3), PageFate(isZero: false, pageCount: 2),
            PageFate(isZero: true, pageCount: 2), PageFate(isZero: false, pageCount: 1),
        ]
        var page = 0
        for fate in expected {
            let base = block.base + page * targetPageByteCount
            #expect(leadingFate(of: base, pageCount: 8 - page) == fate)
            page += fate.pageCount
        }
        #expect(leadingFate(of: block.base, pageCount: 2).pageCount == 2, "no look past the limit")
    }
}
