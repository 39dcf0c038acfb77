internal import CBerthLinux

/// Digests by instructions that only some processors have.
///
/// Each has a twin that runs anywhere; who wants a digest asks here first.
public enum FastDigests {
    /// Whether this processor has CRC32C as an instruction.
    public static let hasCRC32C = berth_crc32c_is_fast() != 0

    /// Whether this processor can do eight steps of BLAKE3 at once.
    public static let hasBLAKE3 = berth_blake3_is_fast() != 0

    /// The CRC32C of bytes; only where `hasCRC32C`.
    ///
    /// - Parameter previous: the checksum of the bytes before them, 0 at the beginning.
    @inline(__always)
    public static func crc32c(_ bytes: UnsafeRawBufferPointer, after previous: UInt32 = 0) -> UInt32
    {
        unsafe berth_crc32c(previous, bytes.baseAddress, bytes.count)
    }

    /// The BLAKE3 digests of pages of 4096 bytes; only where `hasBLAKE3`.
    ///
    /// - Parameters:
    ///   - pages: whole pages.
    ///   - digests: 32 bytes for each of them.
    @inline(__always)
    public static func blake3(
        ofPages pages: UnsafeRawBufferPointer,
        into digests: UnsafeMutableRawBufferPointer
    ) {
        let count = min(pages.count / 4096, digests.count / 32)
        guard let target = digests.baseAddress else { return }
        unsafe berth_blake3_pages(
            pages.baseAddress,
            count,
            target.assumingMemoryBound(to: UInt8.self)
        )
    }
}
