public import BerthSystem
internal import Glibc

// A file behind a channel, for what isn't reading or writing.

extension Channel {
    /// The file behind the channel, opened once more for reading: with locks of its own.
    ///
    /// - Throws: `TransportError`.
    public func openAgain() throws(TransportError) -> OwnedDescriptor {
        do {
            return try OwnedDescriptor.open("/proc/self/fd/\(raw)", O_RDONLY)
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
