/// CRC32C (Castagnoli), by tables: eight bytes a step.
public enum CRC32C {
    /// For each of eight places in a step, what a byte there adds; 256 entries each.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var value = UInt32(byte)
            for _ in 0..<8 {
                value = value >> 1 ^ (value & 1 == 1 ? 0x82f6_3b78 : 0)
            }
            tables[byte] = value
        }
        for index in 256..<tables.count {
            let previous = tables[index - 256]
            tables[index] = previous >> 8 ^ tables[Int(previous & 0xff)]
        }
        return tables
    }()

    /// The checksum of bytes.
    ///
    /// - Parameter previous: the checksum of the bytes before them, 0 at the beginning.
    public static func checksum(
        _ bytes: UnsafeRawBufferPointer,
        after previous: UInt32 = 0
    ) -> UInt32 {
        unsafe tables.withUnsafeBufferPointer { tables in
            var value = ~previous
            var offset = 0
            while bytes.count - offset >= 8 {
                let word = UInt64(
                    littleEndian: unsafe bytes.loadUnaligned(
                        fromByteOffset: offset,
                        as: UInt64.self
                    )
                )
                var mixed = word ^ UInt64(value)
                value = 0
                for place in stride(from: 7, through: 0, by: -1) {
                    value ^= unsafe tables[place * 256 + Int(mixed & 0xff)]
                    mixed >>= 8
                }
                offset += 8
            }
            while offset < bytes.count {
                let byte = unsafe UInt8(truncatingIfNeeded: value) ^ bytes[offset]
                value = unsafe value >> 8 ^ tables[Int(byte)]
                offset += 1
            }
            return ~value
        }
    }

    /// The checksum of an array.
    public static func checksum(_ bytes: [UInt8]) -> UInt32 {
        unsafe bytes.withUnsafeBytes { unsafe checksum($0) }
    }
}
