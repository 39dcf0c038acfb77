internal import BerthSystem
internal import Glibc

extension Channel {
    /// The next bytes of a file that aren't in a hole.
    ///
    /// Where the file system can't tell, all bytes are. The position for reading in order stays
    /// where it is, and nobody else may move it meanwhile.
    ///
    /// - Returns: the first range that ends behind `offset`, from `offset` on; nil if there is none
    ///   up to the end of the file.
    /// - Throws: `TransportError` for `lseek`.
    @available(*, noasync, message: "blocks its thread")
    public func data(from offset: UInt64) throws(TransportError) -> Range<UInt64>? {
        let position = lseek(raw, 0, SEEK_CUR)
        defer { lseek(raw, position, SEEK_SET) }
        do {
            return try OwnedDescriptor.data(of: raw, from: offset, name: name)
        } catch {
            throw TransportError("look for holes in", name, cause: error)
        }
    }
}
