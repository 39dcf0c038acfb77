import BerthSystem
import BerthWire
import Glibc

extension MultifdChannelReader {
    /// Takes the pages of one packet.
    func take(
        _ header: MultifdPacketHeader,
        _ target: MultifdReceiver.Target
    ) throws(StreamError) {
        guard let block = target.indexes[header.blockName] else {
            throw StreamError(
                .mismatch,
                "pages for RAM block '\(header.blockName)', which the stream didn't list"
            )
        }
        try compression.check(header, receiver.method)
        try packet.take(
            header,
            unsafe headerBytes.bindMemory(to: UInt8.self).span,
            of: target.blocks[block]
        )
        if header.normalCount > 0 {
            packet.findMemory(in: target.sink, block: block)
            if let page = unsafe packet.pieces.first?.iov_base { unsafe follower.follow(page) }
            try readContent(header)
        }
        try packet.deliver(to: target.sink, block: block)
        receiver.count(dataPages: header.normalCount, zeroPages: header.zeroCount)
    }

    private func readContent(_ header: MultifdPacketHeader) throws(StreamError) {
        guard let decompressor = compression.decompressor else {
            unsafe try readPayload(into: packet.pieces, byteCount: header.payloadByteCount)
            return
        }
        let payload = unsafe compression.payload(byteCount: header.payloadByteCount)
        var piece = unsafe iovec(iov_base: payload.baseAddress, iov_len: payload.count)
        try unsafe withUnsafeMutablePointer(to: &piece) { piece throws(StreamError) in
            unsafe try readPayload(
                into: UnsafeMutableBufferPointer(start: piece, count: 1),
                byteCount: payload.count
            )
        }
        unsafe try decompressor.decompress(
            UnsafeRawBufferPointer(payload),
            into: packet.pieces
        )
    }
}

/// How the packets of one channel are compressed: all of them alike.
@safe
final class ChannelCompression {
    /// Set by the first packet with pages; nil where they come as they are.
    private(set) var decompressor: (any PacketDecompressor)?
    private var method: MultifdMethod?
    /// Memory for payloads that are to be decompressed; allocated for the first of them.
    private var buffer: UnsafeMutableRawBufferPointer?

    deinit {
        unsafe buffer?.deallocate()
    }

    /// Compares a packet's method with what is expected and with the packets before.
    ///
    /// - Parameter expected: what `multifd-compression` says here; nil for any.
    func check(
        _ header: MultifdPacketHeader,
        _ expected: MultifdMethod?
    ) throws(StreamError) {
        guard let found = header.flags.method else { return }
        if found == method { return }
        if let expected, found != expected {
            throw StreamError(
                .mismatch,
                "packets are compressed with '\(found.name)', multifd-compression is "
                    + "'\(expected.name)' here",
                hint: "set multifd-compression here to what it is on the source"
            )
        }
        if let method {
            throw StreamError(
                .malformed,
                "a packet is compressed with '\(found.name)', those before with '\(method.name)'"
            )
        }
        decompressor = try found.decompressor()
        method = found
    }

    /// Memory for a payload, valid until the next call.
    func payload(byteCount: Int) -> UnsafeMutableRawBufferPointer {
        let all: UnsafeMutableRawBufferPointer
        if let buffer = unsafe buffer {
            unsafe all = unsafe buffer
        } else {
            unsafe all = .allocate(
                byteCount: MultifdPacketHeader.payloadByteLimit,
                alignment: 64
            )
            unsafe buffer = unsafe all
        }
        return unsafe UnsafeMutableRawBufferPointer(rebasing: all[..<byteCount])
    }
}
