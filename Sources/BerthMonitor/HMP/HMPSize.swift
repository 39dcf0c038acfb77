internal import BerthQAPI

/// Sizes as the human monitor reads some of them.
public enum HMPSize {
    /// Reads a size that counts MiB where it has no suffix.
    ///
    /// - Returns: bytes, below 2^63; nil if the text isn't such a size.
    public static func mebibytes(_ text: String) -> Int64? {
        SizeText.parse(text, unit: 1 << 20).flatMap { Int64(exactly: $0) }
    }
}
