import BerthMemory
import BerthStream

extension [StreamBlock] {
    /// Throws unless these are whole pages of one of the blocks.
    ///
    /// - Parameters:
    ///   - block: index of the block.
    ///   - offset: of the first byte in the block.
    ///   - byteCount: not negative.
    func requirePages(block: Int, offset: Int, byteCount: Int) throws(ImageError) {
        guard indices.contains(block), offset >= 0, byteCount <= self[block].byteCount,
            offset <= self[block].byteCount - byteCount,
            offset % targetPageByteCount == 0, byteCount % targetPageByteCount == 0
        else {
            throw ImageError("there are no such pages in the image")
        }
    }
}
