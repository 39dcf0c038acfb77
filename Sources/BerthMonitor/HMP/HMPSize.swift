internal import BerthQAPI

/// Sizes as the human monitor reads some of them.
public enum HMPSize {
    /// Reads a size that counts MiB where it has no suffix.
    ///
    /// - Returns: bytes, below 2^63; nil if the text isn't such a size.
    public static func mebibytes(_ text: String) -> Int64? {
        let isHex = text.hasPrefix("0x") || text.hasPrefix("0X")
        let hasSuffix = text.utf8.last.map { $0 | 0x20 >= UInt8(ascii: "a") } ?? true
        // With the suffix in place fractions are read, too.
        let bytes =
            isHex || hasSuffix
            ? SizeText.parse(text, unit: 1 << 20)
            : SizeText.parse(text + "M")
        return bytes.flatMap { Int64(exactly: $0) }
    }
}
