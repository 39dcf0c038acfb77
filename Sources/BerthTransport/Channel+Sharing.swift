public import BerthSystem
internal import Glibc

// A file behind a channel, for what isn't reading or writing.

extension Channel {
    /// Another descriptor for the open file behind the channel.
    ///
    /// - Throws: `TransportError`.
    public func duplicateDescriptor() throws(TransportError) -> OwnedDescriptor {
        do {
            return try OwnedDescriptor.duplicate(of: raw)
        } catch {
            throw TransportError("use", name, cause: error)
        }
    }

    /// Has the file behind the channel share blocks of another one, instead of copying them.
    ///
    /// - Parameters:
    ///   - range: bytes of the other file; whole blocks of the file system.
    ///   - source: the other file, open for reading.
    ///   - sourceName: how messages call it.
    ///   - place: where the first byte goes; the start of a block.
    /// - Throws: `SystemCallError`; see `OwnedDescriptor.shareBlocks`.
    @available(*, noasync, message: "blocks its thread")
    public func shareBlocks(
        _ range: Range<UInt64>,
        of source: OwnedDescriptorBox,
        _ sourceName: String,
        at place: UInt64
    ) throws(SystemCallError) {
        try OwnedDescriptor.shareBlocks(
            of: source.raw ?? -1,
            range,
            with: raw,
            at: place,
            name: sourceName
        )
    }
}
