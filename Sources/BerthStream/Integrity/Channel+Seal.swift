import BerthSystem
public import BerthTransport
public import BerthWire

extension Channel {
    /// Puts a seal behind a stream that is complete, where QEMU and libvirt don't look.
    ///
    /// Whatever lies behind the stream goes. The end mark is written last, after the rest is on the
    /// disk: a seal that was cut off is never taken for one.
    ///
    /// - Parameters:
    ///   - digests: all pages of the guest.
    ///   - configuration: the stream's configuration section.
    ///   - deviceState: the device state as the stream has it.
    ///   - stream: places in the file of the stream's first byte and behind its last one.
    /// - Returns: bytes in the file now.
    /// - Throws: `StreamError`, `.unsupported` for anything but a regular file, which has no end of
    ///   its own to find the seal by; the file then has no seal.
    @available(*, noasync, message: "blocks its thread")
    @discardableResult
    public func writeSeal(
        of digests: PageDigests,
        configuration: ConfigurationSection,
        deviceState: DeviceState,
        stream: Range<UInt64>
    ) throws(StreamError) -> UInt64 {
        var parts = SealedPart.parts(of: configuration, deviceState, digests.algorithm)
        parts += digests.mapParts
        let writer = try SealWriter(
            self,
            digests.algorithm,
            blocks: digests.blocks,
            parts: parts,
            stream: stream
        )
        for index in digests.blocks.indices {
            unsafe try writer.write(entries: digests.table(ofBlock: index), block: index)
        }
        return try writer.finish()
    }
}

/// Writes a seal: makes room, then takes tables in any order and pieces, then puts the end mark.
struct SealWriter {
    /// Pieces in which a table is searched for holes: a block of most file systems.
    private static let blockByteCount = 4096

    let header: SealHeader
    private let channel: Channel
    private let place: UInt64

    /// Cuts the file behind the stream and writes the seal's header.
    ///
    /// - Throws: `StreamError`.
    init(
        _ channel: Channel,
        _ algorithm: IntegrityAlgorithm,
        blocks: [StreamBlock],
        parts: [SealedPart],
        stream: Range<UInt64>
    ) throws(StreamError) {
        guard channel.objectKind == .regularFile else {
            throw StreamError(
                .unsupported,
                "cannot put digests behind the stream: '\(channel.name)' isn't a regular file",
                hint: "digests of pages are kept in regular files only"
            )
        }
        guard parts.count <= SealHeader.partCountLimit else {
            throw StreamError(
                .limitExceeded,
                "the guest has \(parts.count) sections, digests are kept of "
                    + "\(SealHeader.partCountLimit) at most"
            )
        }
        self.channel = channel
        header = SealHeader(
            algorithm: algorithm,
            stream: stream,
            blocks: blocks.map { ($0.name, UInt64($0.byteCount)) },
            parts: parts
        )
        place = header.offset
        var bytes: [UInt8] = []
        header.encode(into: &bytes)
        do {
            try channel.resize(to: stream.upperBound)
            // What isn't written from here on is a hole.
            try channel.resize(to: place + header.byteCount)
            try channel.write(at: place, bytes)
        } catch {
            throw StreamError(error)
        }
    }

    /// Writes a block's table; of those entries that are zeros only what shares a file system's
    /// block with others.
    ///
    /// - Parameter entries: all of them.
    func write(entries: UnsafeRawBufferPointer, block: Int) throws(StreamError) {
        let start = tablePlace(block, 0)
        var offset = 0
        while offset < entries.count {
            let end = unsafe endOfRun(entries, from: offset)
            let piece = unsafe UnsafeRawBufferPointer(rebasing: entries[offset..<end.offset])
            if end.hasContent {
                do {
                    unsafe try channel.write(at: start + UInt64(offset), piece)
                } catch {
                    throw StreamError(error)
                }
            }
            offset = end.offset
        }
    }

    /// Writes entries of a block's table as they are.
    ///
    /// - Parameter first: the page that the first entry is of.
    func put(
        _ entries: UnsafeRawBufferPointer,
        block: Int,
        from first: Int
    ) throws(StreamError) {
        do {
            unsafe try channel.write(at: tablePlace(block, first), entries)
        } catch {
            throw StreamError(error)
        }
    }

    private func tablePlace(_ block: Int, _ page: Int) -> UInt64 {
        place + header.blocks[block].tableOffset
            + UInt64(page * header.algorithm.digestByteCount)
    }

    /// How far pieces go that all have content, or all have none.
    private func endOfRun(
        _ entries: UnsafeRawBufferPointer,
        from start: Int
    ) -> (offset: Int, hasContent: Bool) {
        var offset = start
        var hasContent: Bool?
        while offset < entries.count {
            let end = min(offset + Self.blockByteCount, entries.count)
            let piece = unsafe UnsafeRawBufferPointer(rebasing: entries[offset..<end])
            let found = unsafe !piece.isAllZero
            if let hasContent, hasContent != found { break }
            hasContent = found
            offset = end
        }
        return (offset, hasContent ?? false)
    }

    /// Has all that was written go to the disk, then writes the end mark.
    ///
    /// - Returns: bytes in the file.
    func finish() throws(StreamError) -> UInt64 {
        var bytes: [UInt8] = []
        SealFooter(offset: place, byteCount: header.byteCount).encode(into: &bytes)
        let end = place + header.byteCount
        do {
            try channel.synchronize()
            try channel.write(at: end - UInt64(bytes.count), bytes)
        } catch {
            throw StreamError(error)
        }
        return end
    }
}

extension UnsafeRawBufferPointer {
    /// Whether all bytes are zero; the count is a multiple of four.
    fileprivate var isAllZero: Bool {
        var offset = 0
        while count - offset >= 8 {
            if unsafe loadUnaligned(fromByteOffset: offset, as: UInt64.self) != 0 { return false }
            offset += 8
        }
        return unsafe self[offset...].allSatisfy { $0 == 0 }
    }
}

extension Channel {
    /// Writes all bytes of an array at an offset.
    fileprivate func write(at offset: UInt64, _ bytes: [UInt8]) throws(TransportError) {
        try unsafe bytes.span.withUnsafeBytes { bytes throws(TransportError) in
            unsafe try write(at: offset, bytes)
        }
    }
}
