public import BerthTransport
public import BerthWire

/// The seal of an image: its header, and the tables of page digests, read as they are needed.
public struct Seal: Sendable {
    /// What the seal says.
    public let header: SealHeader
    /// The file.
    let channel: Channel

    /// How pages are summed up.
    public var algorithm: IntegrityAlgorithm { header.algorithm }

    /// Bytes of the file that the seal takes.
    public var place: Range<UInt64> { header.offset..<header.offset + header.byteCount }

    /// Finds the seal of an image by the end mark.
    ///
    /// - Parameter channel: a file or device, open for reading.
    /// - Returns: nil if the file has no end mark: it isn't sealed, or the seal was cut off.
    /// - Throws: `StreamError`: `.malformed` for a seal that is damaged, `.unsupported` for one of a
    ///   later version.
    @available(*, noasync, message: "blocks its thread")
    public static func find(in channel: Channel) throws(StreamError) -> Seal? {
        let markByteCount = UInt64(SealFooter.byteCount)
        guard channel.isSeekable, let fileByteCount = channel.byteCount,
            fileByteCount >= markByteCount
        else { return nil }
        let markOffset = fileByteCount - markByteCount
        let mark = try channel.bytes(SealFooter.byteCount, at: markOffset, "the seal's end mark")
        var cursor = WireCursor(base: markOffset)
        var ahead = cursor
        do {
            guard try ahead.be64(mark.span, "seal's end mark") == SealFooter.magic else {
                return nil
            }
            let footer = try SealFooter(
                decoding: &cursor,
                mark.span,
                fileByteCount: fileByteCount
            )
            return Seal(header: try header(for: footer, channel), channel: channel)
        } catch let error as WireError {
            throw StreamError(ofSeal: error)
        } catch let error as StreamError {
            throw error
        } catch {
            throw StreamError(.malformed, "\(error)")
        }
    }

    /// Where a stream ends of which a seal says so; nil without a seal that can be read.
    ///
    /// Who reads a stream needn't look further: without it everything behind would be searched for
    /// a better end.
    ///
    /// - Parameter start: where the stream begins in the file.
    @available(*, noasync, message: "blocks its thread")
    public static func streamEnd(in channel: Channel, from start: UInt64) -> UInt64? {
        guard let seal = try? find(in: channel), seal.header.streamStart == start else {
            return nil
        }
        return seal.header.streamEnd
    }

    private static func header(
        for footer: SealFooter,
        _ channel: Channel
    ) throws -> SealHeader {
        let fixed = try channel.bytes(
            SealHeader.fixedByteCount,
            at: footer.offset,
            "the seal's header"
        )
        let byteCount = try SealHeader.byteCount(
            peeking: WireCursor(base: footer.offset),
            fixed.span
        )
        guard UInt64(byteCount) <= footer.byteCount else {
            throw WireError.limitExceeded(
                field: "seal's header length",
                offset: footer.offset + 20,
                limit: footer.byteCount,
                found: UInt64(byteCount)
            )
        }
        let bytes = try channel.bytes(byteCount, at: footer.offset, "the seal's header")
        return try SealHeader(
            decoding: bytes.span,
            at: footer.offset,
            sealByteCount: footer.byteCount
        )
    }

    /// Reads entries of a block's table.
    ///
    /// - Parameters:
    ///   - block: index of the block.
    ///   - first: the page of the first entry; all pages asked for are in the block.
    ///   - target: filled with whole entries.
    /// - Throws: `StreamError`.
    func readEntries(
        block: Int,
        from first: Int,
        into target: UnsafeMutableRawBufferPointer
    ) throws(StreamError) {
        let place =
            header.offset + header.blocks[block].tableOffset
            + UInt64(first * algorithm.digestByteCount)
        unsafe try channel.readExactly(target, at: place, "the seal's table")
    }
}

extension StreamError {
    /// What a codec says of a seal.
    fileprivate init(ofSeal error: WireError) {
        if case .unsupportedVersion = error {
            self.init(
                .unsupported,
                "the image's seal can't be read: \(error.what)",
                at: error.offset,
                hint: "check the image with a later version of Berth"
            )
        } else {
            self.init(
                .malformed,
                "the image's seal is damaged: \(error.what)",
                at: error.offset,
                hint: "the image itself may be whole: 'berth seal --force' makes a new seal"
            )
        }
    }
}

extension Channel {
    /// Reads bytes into an array of their own; `count` was checked against a limit.
    fileprivate func bytes(
        _ count: Int,
        at offset: UInt64,
        _ what: StaticString
    ) throws(StreamError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        try unsafe span.withUnsafeMutableBytes { buffer throws(StreamError) in
            unsafe try readExactly(buffer, at: offset, "\(what)")
        }
        return bytes
    }
}
