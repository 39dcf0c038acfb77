import BerthMemory

/// What a pattern puts into a page, and whether a page holds that.
///
/// Every 64-bit word of the content tells the stamp, so that no two contents of a page have a
/// written word in common and each mixture of them shows.
struct PageContent {
    private static let wordCount = targetPageByteCount / 8
    private static let lineWordCount = 8

    /// Whether all words are written rather than the first of each line of 64 bytes.
    let isFull: Bool

    init(of pattern: WorkloadPattern) {
        isFull = pattern != .increment
    }

    /// Writes the content with a stamp.
    @inline(__always)
    func write(_ stamp: PageStamp, to page: UnsafeMutablePointer<UInt64>) {
        if isFull {
            unsafe page[0] = stamp.rawValue
            var weyl = Self.seed(stamp)
            for index in 1..<Self.wordCount {
                weyl &+= Self.step
                unsafe page[index] = Self.mix(weyl)
            }
        } else {
            var index = 0
            while index < Self.wordCount {
                unsafe page[index] = stamp.rawValue
                index &+= Self.lineWordCount
            }
        }
    }

    /// Whether a page holds the content with a stamp, or is all zero if the stamp is.
    @inline(__always)
    func isHeld(by page: UnsafePointer<UInt64>, with stamp: PageStamp) -> Bool {
        if stamp.rawValue == 0 {
            return unsafe isZero(page, byteCount: targetPageByteCount)
        }
        var difference = unsafe page[0] ^ stamp.rawValue
        if isFull {
            var weyl = Self.seed(stamp)
            for index in 1..<Self.wordCount {
                weyl &+= Self.step
                difference |= unsafe page[index] ^ Self.mix(weyl)
            }
            return difference == 0
        }
        // The bytes between the stamps are as they were before the first write: zero.
        var index = 0
        while index < Self.wordCount {
            let line = unsafe page + index
            difference |= unsafe line[0] ^ stamp.rawValue
            difference |= unsafe line[1] | line[2] | line[3] | line[4]
            difference |= unsafe line[5] | line[6] | line[7]
            index &+= Self.lineWordCount
        }
        return difference == 0
    }

    // A Weyl sequence, its upper half folded into the lower one, times an odd number: four cheap
    // operations a word, each of them reversible, and nothing that a compressor finds a use for.
    // The numbers are those of SplitMix64; any odd ones without a pattern would do.
    private static let step: UInt64 = 0x9e37_79b9_7f4a_7c15

    @inline(__always)
    private static func seed(_ stamp: PageStamp) -> UInt64 {
        stamp.rawValue &* 0xbf58_476d_1ce4_e5b9
    }

    @inline(__always)
    private static func mix(_ weyl: UInt64) -> UInt64 {
        (weyl ^ weyl >> 32) &* 0x94d0_49bb_1331_11eb
    }
}
