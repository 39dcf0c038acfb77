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

    /// The file behind the channel, opened once more for writing past the page cache.
    ///
    /// - Returns: nil where the file system has no such way, or the file can't be opened again.
    public func openDirect() -> Channel? {
        guard isSeekable,
            let own = try? OwnedDescriptor.open("/proc/self/fd/\(raw)", O_WRONLY, isDirect: true)
        else { return nil }
        return try? Channel(own, name: name)
    }

    /// Has what the page cache has of the file go to the disk, without waiting for it.
    ///
    /// What the disk has against it is said to whoever makes the file durable.
    public func startWriteback() {
        guard medium == .storage else { return }
        OwnedDescriptor.startWriteback(of: raw)
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

    /// Bytes of the file that it has in common with another one, on the disk and so for certain.
    ///
    /// - Parameters:
    ///   - offset: where to begin in this file.
    ///   - other: another file, or the same one.
    ///   - otherOffset: where to begin there.
    ///   - byteCount: how many bytes to look at.
    ///   - body: takes ranges of bytes, counted from the beginnings, in order. What isn't in one may
    ///     be the same, too: few file systems can tell.
    @available(*, noasync, message: "blocks its thread")
    public func visitShared(
        from offset: UInt64,
        with other: Channel,
        from otherOffset: UInt64,
        byteCount: UInt64,
        _ body: (Range<UInt64>) -> Void
    ) {
        func visit(isCertain: Bool, _ body: (Range<UInt64>) -> Void) {
            let parts = [(raw, offset), (other.raw, otherOffset)].map { raw, offset in
                FileExtents(of: raw, offset..<offset + byteCount, isCertain: isCertain)
            }
            FileExtents.visitCommon(parts[0], parts[1], body)
        }
        // Writing to the disk takes its time; most files have nothing in common anyway.
        var isWorthwhile = false
        visit(isCertain: false) { _ in isWorthwhile = true }
        if isWorthwhile {
            visit(isCertain: true, body)
        }
    }
}
