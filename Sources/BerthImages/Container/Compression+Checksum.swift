extension Compression {
    /// Whether a compressed file has a checksum of what was compressed, or of what that became.
    ///
    /// The formats zstd, xz and lzop can go without. Of several parts that follow each other only the
    /// first is looked at.
    ///
    /// - Parameter bytes: the file's first; a header that is cut off has no checksum.
    func hasChecksum(firstBytes bytes: [UInt8]) -> Bool {
        switch self {
        case .gzip, .bzip2:
            return true
        case .zstd:
            // Frame header descriptor, bit 2.
            return bytes.count > 4 && bytes[4] & 0x04 != 0
        case .xz:
            // Stream flags: the type of check, 0 is none.
            return bytes.count > 7 && bytes[7] & 0x0f != 0
        case .lzop:
            return lzopFlags(bytes) & Self.lzopChecksums != 0
        }
    }

    /// Adler-32 and CRC-32, of the data before and after.
    private static let lzopChecksums: UInt32 = 0x0001 | 0x0002 | 0x0100 | 0x0200

    /// Flags of an lzop file's header; 0 if it is cut off.
    private func lzopFlags(_ bytes: [UInt8]) -> UInt32 {
        guard bytes.count > 10 else { return 0 }
        let version = UInt16(bytes[9]) << 8 | UInt16(bytes[10])
        // Versions and method; from 0.940 on also the version that it takes, and the level.
        let start = version >= 0x0940 ? 17 : 14
        guard bytes.count >= start + 4 else { return 0 }
        return bytes[start..<start + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }
}
