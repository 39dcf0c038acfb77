/// BLAKE3, 32 bytes of digest, one compression at a time.
///
/// For device state, and for pages where `FastDigests` can't.
enum BLAKE3 {
    typealias Words8 = InlineArray<8, UInt32>
    typealias Words16 = InlineArray<16, UInt32>

    static let digestByteCount = 32
    private static let chunkByteCount = 1024
    private static let blockByteCount = 64

    private static let startValue: Words8 = [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
        0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ]

    /// How the words of a block change places from one round to the next.
    private static let permutation: InlineArray<16, Int> = [
        2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8,
    ]

    private struct Flags: OptionSet {
        let rawValue: UInt32
        static let chunkStart = Flags(rawValue: 1)
        static let chunkEnd = Flags(rawValue: 2)
        static let parent = Flags(rawValue: 4)
        static let root = Flags(rawValue: 8)
    }

    /// The digest of bytes.
    static func digest(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        let words = unsafe subtree(bytes, firstChunk: 0, [.root])
        var digest: [UInt8] = []
        digest.reserveCapacity(digestByteCount)
        for index in words.indices {
            for shift in stride(from: UInt32(0), to: 32, by: 8) {
                digest.append(UInt8(truncatingIfNeeded: words[index] >> shift))
            }
        }
        return digest
    }

    /// The digest of bytes, written to memory of 32 bytes.
    static func digest(_ bytes: UnsafeRawBufferPointer, into target: UnsafeMutableRawPointer) {
        let words = unsafe subtree(bytes, firstChunk: 0, [.root])
        for index in words.indices {
            unsafe target.storeBytes(
                of: words[index].littleEndian,
                toByteOffset: index * 4,
                as: UInt32.self
            )
        }
    }

    /// The value of the part of the tree over these bytes; `flags` is `.root` for all of it.
    ///
    /// As deep as the logarithm of the number of chunks.
    private static func subtree(
        _ bytes: UnsafeRawBufferPointer,
        firstChunk: UInt64,
        _ flags: Flags
    ) -> Words8 {
        guard bytes.count > chunkByteCount else {
            return unsafe chunk(bytes, number: firstChunk, flags)
        }
        // The left side has the greatest power of two of whole chunks that leaves some for the right.
        let chunks = (bytes.count - 1) / chunkByteCount
        let leftChunks = 1 << (Int.bitWidth - 1 - chunks.leadingZeroBitCount)
        let middle = leftChunks * chunkByteCount
        let left = unsafe subtree(
            UnsafeRawBufferPointer(rebasing: bytes[..<middle]),
            firstChunk: firstChunk,
            []
        )
        let right = unsafe subtree(
            UnsafeRawBufferPointer(rebasing: bytes[middle...]),
            firstChunk: firstChunk + UInt64(leftChunks),
            []
        )
        var block = Words16(repeating: 0)
        for index in 0..<8 {
            block[index] = left[index]
            block[8 + index] = right[index]
        }
        return compress(startValue, block, counter: 0, byteCount: 64, flags.union(.parent))
    }

    private static func chunk(
        _ bytes: UnsafeRawBufferPointer,
        number: UInt64,
        _ flags: Flags
    ) -> Words8 {
        var chain = startValue
        var offset = 0
        repeat {
            let byteCount = min(blockByteCount, bytes.count - offset)
            var block = Words16(repeating: 0)
            if byteCount == blockByteCount {
                for index in 0..<16 {
                    block[index] = UInt32(
                        littleEndian: unsafe bytes.loadUnaligned(
                            fromByteOffset: offset + index * 4,
                            as: UInt32.self
                        )
                    )
                }
            } else {
                for index in 0..<byteCount {
                    block[index / 4] |=
                        UInt32(unsafe bytes[offset + index]) << UInt32(index % 4 * 8)
                }
            }
            var blockFlags: Flags = offset == 0 ? .chunkStart : []
            offset += byteCount
            if offset == bytes.count { blockFlags.formUnion(flags.union(.chunkEnd)) }
            chain = compress(
                chain,
                block,
                counter: number,
                byteCount: UInt32(byteCount),
                blockFlags
            )
        } while offset < bytes.count
        return chain
    }

    private static func compress(
        _ chain: Words8,
        _ block: Words16,
        counter: UInt64,
        byteCount: UInt32,
        _ flags: Flags
    ) -> Words8 {
        var block = block
        var state = Words16(repeating: 0)
        for index in 0..<8 { state[index] = chain[index] }
        for index in 0..<4 { state[8 + index] = startValue[index] }
        state[12] = UInt32(truncatingIfNeeded: counter)
        state[13] = UInt32(truncatingIfNeeded: counter >> 32)
        state[14] = byteCount
        state[15] = flags.rawValue
        for round in 0..<7 {
            if round > 0 {
                let previous = block
                for index in 0..<16 { block[index] = previous[permutation[index]] }
            }
            for column in 0..<4 {
                mix(&state, column, column + 4, column + 8, column + 12, block, column * 2)
            }
            for diagonal in 0..<4 {
                mix(
                    &state,
                    diagonal,
                    4 + (diagonal + 1) % 4,
                    8 + (diagonal + 2) % 4,
                    12 + (diagonal + 3) % 4,
                    block,
                    8 + diagonal * 2
                )
            }
        }
        var output = Words8(repeating: 0)
        for index in 0..<8 { output[index] = state[index] ^ state[8 + index] }
        return output
    }

    @inline(__always)
    private static func mix(
        _ state: inout Words16,
        _ a: Int,
        _ b: Int,
        _ c: Int,
        _ d: Int,
        _ block: Words16,
        _ word: Int
    ) {
        state[a] = state[a] &+ state[b] &+ block[word]
        state[d] = rotated(state[d] ^ state[a], 16)
        state[c] = state[c] &+ state[d]
        state[b] = rotated(state[b] ^ state[c], 12)
        state[a] = state[a] &+ state[b] &+ block[word + 1]
        state[d] = rotated(state[d] ^ state[a], 8)
        state[c] = state[c] &+ state[d]
        state[b] = rotated(state[b] ^ state[c], 7)
    }

    @inline(__always)
    private static func rotated(_ value: UInt32, _ count: UInt32) -> UInt32 {
        value &>> count | value &<< (32 - count)
    }
}
