/// How the content of pages is summed up.
///
/// The raw value is the word that users write.
public enum IntegrityAlgorithm: String, CaseIterable, Sendable {
    /// CRC32C, 4 bytes a page: finds every accident, as fast as memory is read.
    case crc32c
    /// BLAKE3, 32 bytes a page: nobody can make other content with the same digest.
    case blake3

    /// Bytes of one digest.
    public var digestByteCount: Int {
        switch self {
        case .crc32c: 4
        case .blake3: 32
        }
    }

    /// The number that stands for it in a seal.
    var wireValue: UInt32 {
        switch self {
        case .crc32c: 1
        case .blake3: 2
        }
    }
}
