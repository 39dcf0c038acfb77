import BerthSystem
import BerthTestSupport
import BerthWire
import Testing

@testable import BerthStream

/// Digests: against known ones, and each way to make them against the other.
@Suite struct IntegrityDigestTests {
    private func pages(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count * 512).flatMap { _ in
            withUnsafeBytes(of: generator.next()) { Array($0) }
        }
    }

    private func entries(_ digester: PageDigester, _ pages: [UInt8]) -> [UInt8] {
        var entries = [UInt8](repeating: 0xee, count: pages.count / 4096 * digester.entryByteCount)
        pages.withUnsafeBytes { pages in
            entries.withUnsafeMutableBytes { digester.makeEntries(ofPages: pages, into: $0) }
        }
        return entries
    }

    @Test func `BLAKE3 is what others make of the same bytes`() throws {
        let lengths = [
            0, 1, 3, 63, 64, 65, 128, 1023, 1024, 1025, 2048, 2049, 3072, 4096, 4097, 5120, 8192,
            8193, 31744, 102_400,
        ]
        let vector = try HexVector.load("seal/blake3")
        try #require(vector.count == lengths.count * 32)
        for (index, length) in lengths.enumerated() {
            let bytes = (0..<length).map { UInt8($0 % 251) }
            let digest = bytes.withUnsafeBytes { BLAKE3.digest($0) }
            #expect(digest == Array(vector[index * 32..<index * 32 + 32]), "\(length) bytes")
        }
    }

    @Test(arguments: IntegrityAlgorithm.allCases)
    func `entries are the same on every processor`(_ algorithm: IntegrityAlgorithm) {
        for count in 1...5 {
            let pages = pages(count, seed: UInt64(count))
            #expect(
                entries(PageDigester(algorithm), pages)
                    == entries(PageDigester(algorithm, isFast: false), pages)
            )
        }
    }

    @Test func `the instruction and the tables agree on any length`() throws {
        try #require(FastDigests.hasCRC32C, "the machine that tests has the instruction")
        let bytes = pages(3, seed: 7)
        for count in Array(0...70) + [1359, 1360, 1361, 4079, 4080, 4081, 4095, 4096, 8161, 12_288]
        {
            for start in 0..<min(9, bytes.count - count + 1) {
                bytes[start..<start + count].withUnsafeBytes {
                    #expect(FastDigests.crc32c($0) == CRC32C.checksum($0))
                    #expect(
                        FastDigests.crc32c($0, after: 0xdead_beef)
                            == CRC32C.checksum($0, after: 0xdead_beef)
                    )
                }
            }
        }
    }

    @Test(arguments: IntegrityAlgorithm.allCases)
    func `an entry is the digest combined with that of zeros`(_ algorithm: IntegrityAlgorithm) {
        let page = pages(1, seed: 3)
        let digest = PageDigester.digest(of: page, algorithm)
        let zero = PageDigester.digest(of: [UInt8](repeating: 0, count: 4096), algorithm)
        #expect(digest.count == algorithm.digestByteCount)
        let expected = zip(digest, zero).map { $0 ^ $1 }
        for isFast in [true, false] {
            let digester = PageDigester(algorithm, isFast: isFast)
            #expect(entries(digester, page) == expected)
            let zeros = [UInt8](repeating: 0, count: 2 * 4096)
            #expect(entries(digester, zeros).allSatisfy { $0 == 0 })
        }
    }

    @Test(arguments: IntegrityAlgorithm.allCases)
    func `one changed bit changes an entry, and no other page's`(_ algorithm: IntegrityAlgorithm) {
        let digester = PageDigester(algorithm)
        let pages = pages(3, seed: 11)
        let whole = entries(digester, pages)
        for bit in stride(from: 0, to: 4096 * 8, by: 997) {
            var changed = pages
            changed[4096 + bit / 8] ^= 1 << UInt8(bit % 8)
            var scratch = whole
            let differing = changed.withUnsafeBytes { changed in
                whole.withUnsafeBytes { whole in
                    scratch.withUnsafeMutableBytes {
                        digester.differing(changed, from: whole, scratch: $0)
                    }
                }
            }
            #expect(differing == 0b010, "bit \(bit)")
        }
        #expect(whole.withUnsafeBytes { digester.nonzero($0) } == 0b111)
    }
}
