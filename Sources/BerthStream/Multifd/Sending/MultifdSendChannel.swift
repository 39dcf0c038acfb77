import BerthTransport
import BerthWire
import Glibc
import Synchronization

/// One channel as the source sees it, with what it keeps from packet to packet.
///
/// One thread at a time calls it: the channel's own, or the writer's while that has nothing to do.
@safe
final class MultifdSendChannel {
    let id: Int
    let channel: Channel
    private let method: MultifdMethod
    private let compressor: (any PacketCompressor)?
    private let zeroCopy: ZeroCopySender?
    private let byteCounter = Atomic<UInt64>(0)

    /// Takes a channel that is connected.
    init(
        _ channel: Channel,
        id: Int,
        _ options: MultifdSendOptions
    ) throws(StreamError) {
        self.id = id
        self.channel = channel
        method = options.compression.method
        compressor = try options.compression.compressor()
        do {
            zeroCopy = options.usesZeroCopy ? try ZeroCopySender(channel) : nil
        } catch {
            throw StreamError(error)
        }
    }

    /// Bytes that left so far; any thread may ask.
    var byteCount: UInt64 { byteCounter.load(ordering: .relaxed) }

    /// Sync points before which all was copied although zero-copy was asked for.
    var zeroCopyFallbackCount: UInt64 { zeroCopy?.fallbackCount ?? 0 }

    /// Says whose channel it is, and which.
    func introduce(_ uuid: GuestUUID?) throws(StreamError) {
        var bytes: [UInt8] = []
        MultifdInitialPacket(uuid: uuid ?? .zero, channelID: UInt8(truncatingIfNeeded: id))
            .encode(into: &bytes)
        try send(bytes)
    }

    /// Sends a packet with pages.
    func send(_ packet: MultifdPacket, blockName: String) throws(StreamError) {
        let pieces = unsafe packet.pieces
        var payload: UnsafeMutableRawBufferPointer?
        if let compressor, !pieces.isEmpty {
            unsafe payload = unsafe try compressor.compress(pieces)
        }
        let vector = unsafe packet.seal(method, blockName: blockName, payload: payload)
        let byteCount = unsafe vector.reduce(0) { unsafe $0 + $1.iov_len }
        do {
            if let zeroCopy {
                let header = unsafe UnsafeRawBufferPointer(
                    start: vector[0].iov_base,
                    count: vector[0].iov_len
                )
                unsafe try zeroCopy.write(
                    header: header,
                    UnsafeMutableBufferPointer(rebasing: vector[1...])
                )
            } else {
                unsafe try channel.writeVector(vector)
            }
        } catch {
            throw StreamError(error)
        }
        byteCounter.add(UInt64(byteCount), ordering: .relaxed)
    }

    /// Sends a sync point, after `settle`.
    func sync(number: UInt64) throws(StreamError) {
        zeroCopy?.endPeriod()
        var bytes = [UInt8](repeating: 0, count: MultifdPacketHeader.byteCount)
        var elements = bytes.mutableSpan
        var span = unsafe elements.mutableBytes
        MultifdPacketHeader(flags: .sync, packetNumber: number).encode(into: &span)
        try send(bytes)
    }

    /// Waits until the kernel has let go of the pages.
    func settle() throws(StreamError) {
        do {
            try zeroCopy?.settle()
        } catch {
            throw StreamError(error)
        }
    }

    private func send(_ bytes: [UInt8]) throws(StreamError) {
        do throws(TransportError) {
            try unsafe bytes.withUnsafeBufferPointer { bytes throws(TransportError) in
                unsafe try channel.write(UnsafeRawBufferPointer(bytes))
            }
        } catch {
            throw StreamError(error)
        }
        byteCounter.add(UInt64(bytes.count), ordering: .relaxed)
    }
}
