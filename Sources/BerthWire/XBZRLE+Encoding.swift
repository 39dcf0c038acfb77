extension XBZRLE {
    /// Writes the difference that turns one page into another: byte for byte what QEMU writes.
    ///
    /// Runs are as long as they can be, and what follows the last changed run is left out.
    ///
    /// - Parameters:
    ///   - old: the content that the destination has.
    ///   - new: the content that it is to have, as long as `old` and, like it, not changing.
    ///   - output: takes the difference; only its first bytes up to the result mean something.
    /// - Returns: bytes of the difference, 0 if the pages are equal, nil if it doesn't fit `output`.
    /// - Precondition: a page is no longer than 16383 bytes, which is the longest run.
    public static func encode(
        from old: UnsafeRawBufferPointer,
        to new: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer
    ) -> Int? {
        precondition(
            old.count == new.count && new.count < 1 << 14,
            "both are pages of one size"
        )
        guard let old = old.baseAddress, let base = new.baseAddress else { return 0 }
        var position = 0
        var count = 0
        while true {
            let changed = unsafe endOfEqual(old, base, from: position, to: new.count)
            guard changed < new.count else { return count }
            let end = unsafe endOfDifferent(old, base, from: changed, to: new.count)
            let unchangedCount = changed - position
            let changedCount = end - changed
            let room = output.count - count - lengthByteCount(unchangedCount)
            guard room >= lengthByteCount(changedCount) + changedCount else { return nil }
            unsafe put(unchangedCount, output, &count)
            unsafe put(changedCount, output, &count)
            unsafe UnsafeMutableRawBufferPointer(rebasing: output[count...]).copyMemory(
                from: UnsafeRawBufferPointer(start: base + changed, count: changedCount)
            )
            count += changedCount
            position = end
        }
    }

    private static func lengthByteCount(_ length: Int) -> Int {
        length < 0x80 ? 1 : 2
    }

    @inline(__always)
    private static func put(
        _ length: Int,
        _ output: UnsafeMutableRawBufferPointer,
        _ count: inout Int
    ) {
        if length < 0x80 {
            unsafe output[count] = UInt8(truncatingIfNeeded: length)
            count += 1
        } else {
            unsafe output[count] = UInt8(truncatingIfNeeded: length) | 0x80
            unsafe output[count + 1] = UInt8(truncatingIfNeeded: length >> 7)
            count += 2
        }
    }

    /// The bits in which eight bytes differ, the first byte in the lowest ones.
    @inline(__always)
    private static func difference(
        _ old: UnsafeRawPointer,
        _ new: UnsafeRawPointer,
        _ offset: Int
    ) -> UInt64 {
        let bits =
            unsafe old.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            ^ new.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        return UInt64(littleEndian: bits)
    }

    /// The first byte from `start` on that differs, or `end`.
    private static func endOfEqual(
        _ old: UnsafeRawPointer,
        _ new: UnsafeRawPointer,
        from start: Int,
        to end: Int
    ) -> Int {
        var offset = start
        // Most of a page is equal, so the long way is gone in long steps.
        while offset &+ 32 <= end {
            var bits = unsafe difference(old, new, offset)
            bits |= unsafe difference(old, new, offset &+ 8)
            bits |= unsafe difference(old, new, offset &+ 16)
            bits |= unsafe difference(old, new, offset &+ 24)
            guard bits == 0 else { break }
            offset &+= 32
        }
        while offset &+ 8 <= end {
            let bits = unsafe difference(old, new, offset)
            guard bits == 0 else { return offset &+ bits.trailingZeroBitCount / 8 }
            offset &+= 8
        }
        while offset < end,
            unsafe old.load(fromByteOffset: offset, as: UInt8.self)
                == new.load(fromByteOffset: offset, as: UInt8.self)
        {
            offset &+= 1
        }
        return offset
    }

    /// The first byte from `start` on that is equal, or `end`.
    private static func endOfDifferent(
        _ old: UnsafeRawPointer,
        _ new: UnsafeRawPointer,
        from start: Int,
        to end: Int
    ) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var offset = start
        while offset &+ 8 <= end {
            let bits = unsafe difference(old, new, offset)
            // Has the top bit of each byte that is zero; above the first also of some that aren't.
            let zeros = (bits &- ones) & ~bits & tops
            guard zeros == 0 else { return offset &+ zeros.trailingZeroBitCount / 8 }
            offset &+= 8
        }
        while offset < end,
            unsafe old.load(fromByteOffset: offset, as: UInt8.self)
                != new.load(fromByteOffset: offset, as: UInt8.self)
        {
            offset &+= 1
        }
        return offset
    }
}
