/// What a file of x86 is put together with.
extension [UInt8] {
    /// Appends an integer, lowest byte first.
    mutating func append(littleEndian value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    /// Appends bytes that are zero.
    mutating func append(zeros byteCount: Int) {
        append(contentsOf: repeatElement(0, count: byteCount))
    }
}
