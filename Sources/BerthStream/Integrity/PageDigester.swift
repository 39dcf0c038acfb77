import BerthMemory
import BerthSystem
import BerthWire

/// Makes the entries of a seal's tables: a page's digest combined (exclusive or) with that of a page
/// of zeros.
///
/// So the entry of a zero page is zeros, and needs no digest to be made.
struct PageDigester: Sendable {
    let algorithm: IntegrityAlgorithm
    /// Bytes of one entry.
    let entryByteCount: Int
    /// Whether the processor's own instructions are used.
    private let isFast: Bool
    /// The digest of a page of zeros, in 64-bit words as they lie in memory; CRC32C has half of one.
    private var zero: InlineArray<4, UInt64>

    /// - Parameter isFast: false for the way that runs on any processor.
    init(_ algorithm: IntegrityAlgorithm, isFast: Bool = true) {
        self.algorithm = algorithm
        entryByteCount = algorithm.digestByteCount
        switch algorithm {
        case .crc32c: self.isFast = isFast && FastDigests.hasCRC32C
        case .blake3: self.isFast = isFast && FastDigests.hasBLAKE3
        }
        zero = InlineArray(repeating: 0)
        // With nothing to combine it with yet, the entry of a page of zeros is its digest.
        let page = [UInt8](repeating: 0, count: targetPageByteCount)
        var words = zero
        unsafe page.withUnsafeBytes { page in
            var span = words.mutableSpan
            unsafe span.withUnsafeMutableBytes { entry in
                unsafe makeEntries(
                    ofPages: page,
                    into: UnsafeMutableRawBufferPointer(rebasing: entry[..<entryByteCount])
                )
            }
        }
        zero = words
    }

    /// The digest of any bytes, as a seal has it of device sections.
    static func digest(of bytes: UnsafeRawBufferPointer, _ algorithm: IntegrityAlgorithm) -> [UInt8]
    {
        switch algorithm {
        case .crc32c:
            var digest: [UInt8] = []
            digest.appendBigEndian(
                FastDigests.hasCRC32C
                    ? unsafe FastDigests.crc32c(bytes) : unsafe CRC32C.checksum(bytes)
            )
            return digest
        case .blake3:
            return unsafe BLAKE3.digest(bytes)
        }
    }

    static func digest(of bytes: [UInt8], _ algorithm: IntegrityAlgorithm) -> [UInt8] {
        unsafe bytes.withUnsafeBytes { unsafe digest(of: $0, algorithm) }
    }

    /// Makes the entries of pages.
    ///
    /// - Parameters:
    ///   - pages: whole pages; they may change meanwhile, the entries are then of something between.
    ///   - entries: `entryByteCount` bytes for each page.
    func makeEntries(
        ofPages pages: UnsafeRawBufferPointer,
        into entries: UnsafeMutableRawBufferPointer
    ) {
        guard let base = pages.baseAddress, let target = entries.baseAddress else { return }
        let count = min(pages.count / targetPageByteCount, entries.count / entryByteCount)
        switch algorithm {
        case .crc32c:
            let zero = unsafe zero.span.withUnsafeBytes { unsafe $0.load(as: UInt32.self) }
            for page in 0..<count {
                let bytes = unsafe UnsafeRawBufferPointer(
                    start: base + page * targetPageByteCount,
                    count: targetPageByteCount
                )
                let sum =
                    isFast ? unsafe FastDigests.crc32c(bytes) : unsafe CRC32C.checksum(bytes)
                unsafe target.storeBytes(
                    of: sum.bigEndian ^ zero,
                    toByteOffset: page * 4,
                    as: UInt32.self
                )
            }
        case .blake3:
            if isFast {
                unsafe FastDigests.blake3(ofPages: pages, into: entries)
            } else {
                for page in 0..<count {
                    unsafe BLAKE3.digest(
                        UnsafeRawBufferPointer(
                            start: base + page * targetPageByteCount,
                            count: targetPageByteCount
                        ),
                        into: target + page * 32
                    )
                }
            }
            for word in 0..<count * 4 {
                let place = unsafe target + word * 8
                let made = unsafe place.loadUnaligned(as: UInt64.self)
                unsafe place.storeBytes(of: made ^ zero[word % 4], as: UInt64.self)
            }
        }
    }

    /// Which of the pages don't have the entries given, as bits from bit 0 on.
    ///
    /// - Parameters:
    ///   - pages: 1 to 64 whole pages.
    ///   - entries: `entryByteCount` bytes for each page.
    ///   - scratch: as long as `entries`.
    func differing(
        _ pages: UnsafeRawBufferPointer,
        from entries: UnsafeRawBufferPointer,
        scratch: UnsafeMutableRawBufferPointer
    ) -> UInt64 {
        unsafe makeEntries(ofPages: pages, into: scratch)
        guard let made = scratch.baseAddress, let expected = entries.baseAddress else { return 0 }
        var bits: UInt64 = 0
        for page in 0..<min(64, pages.count / targetPageByteCount) {
            let place = page * entryByteCount
            if unsafe !areEqual(made + place, expected + place) { bits |= 1 << UInt64(page) }
        }
        return bits
    }

    @inline(__always)
    private func areEqual(_ one: UnsafeRawPointer, _ other: UnsafeRawPointer) -> Bool {
        var difference: UInt32 = 0
        for offset in stride(from: 0, to: entryByteCount, by: 4) {
            difference |=
                unsafe one.load(fromByteOffset: offset, as: UInt32.self)
                ^ other.load(fromByteOffset: offset, as: UInt32.self)
        }
        return difference == 0
    }

    /// Which of the entries are those of pages that aren't zero, as bits from bit 0 on.
    ///
    /// - Parameter entries: 1 to 64 entries.
    func nonzero(_ entries: UnsafeRawBufferPointer) -> UInt64 {
        guard let base = entries.baseAddress else { return 0 }
        var bits: UInt64 = 0
        for page in 0..<min(64, entries.count / entryByteCount) {
            var word: UInt32 = 0
            for offset in stride(from: 0, to: entryByteCount, by: 4) {
                word |= unsafe base.load(
                    fromByteOffset: page * entryByteCount + offset,
                    as: UInt32.self
                )
            }
            if word != 0 { bits |= 1 << UInt64(page) }
        }
        return bits
    }
}
