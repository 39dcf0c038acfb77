import BerthMemory
import BerthWire
import Glibc

/// A packet that is filled, sent and filled again: its header, and where its pages lie.
///
/// It belongs to one thread at a time, to which a queue has handed it. Nothing is allocated after
/// `init`.
@safe
final class MultifdPacket {
    private let header: UnsafeMutableRawBufferPointer
    /// The header, then pieces of memory.
    private let vector: UnsafeMutableBufferPointer<iovec>
    private let zeroOffsets: UnsafeMutablePointer<Int>
    private var pieceCount = 0
    private var normalCount = 0
    private var zeroCount = 0
    /// Index of the block whose pages these are.
    private(set) var block = -1
    /// Number of the packet.
    var number: UInt64 = 0

    init() {
        unsafe header = .allocate(byteCount: MultifdPacketHeader.byteCount, alignment: 64)
        unsafe vector = .allocate(capacity: 1 + MultifdPacketHeader.pageLimit)
        unsafe zeroOffsets = .allocate(capacity: MultifdPacketHeader.pageLimit)
    }

    deinit {
        unsafe header.deallocate()
        unsafe vector.deallocate()
        unsafe zeroOffsets.deallocate()
    }

    /// Pages that can still be added.
    var room: Int { MultifdPacketHeader.pageLimit - normalCount - zeroCount }

    /// Makes it an empty packet for pages of a block.
    func begin(block: Int) {
        self.block = block
        pieceCount = 0
        normalCount = 0
        zeroCount = 0
    }

    /// Adds pages that lie together, at most `room`.
    func append(_ base: UnsafeMutableRawPointer, offset: Int, pageCount: Int) {
        var bytes = unsafe MutableRawSpan(_unsafeBytes: header)
        for index in 0..<pageCount {
            MultifdPacketHeader.setOffset(
                UInt64(offset + index * targetPageByteCount),
                at: normalCount + index,
                in: &bytes
            )
        }
        normalCount += pageCount
        let byteCount = pageCount * targetPageByteCount
        if pieceCount > 0,
            unsafe vector[pieceCount].iov_base + vector[pieceCount].iov_len == base
        {
            unsafe vector[pieceCount].iov_len += byteCount
        } else {
            pieceCount += 1
            unsafe vector[pieceCount] = iovec(iov_base: base, iov_len: byteCount)
        }
    }

    /// Adds zero pages, at most `room`.
    func appendZeros(offset: Int, pageCount: Int) {
        for index in 0..<pageCount {
            unsafe zeroOffsets[zeroCount + index] = offset + index * targetPageByteCount
        }
        zeroCount += pageCount
    }

    /// Where the pages with content lie.
    var pieces: UnsafeMutableBufferPointer<iovec> {
        unsafe UnsafeMutableBufferPointer(rebasing: vector[1..<1 + pieceCount])
    }

    /// Completes the header of a packet with pages.
    ///
    /// - Parameter payload: compressed pages; nil if the pages themselves are the payload.
    /// - Returns: header and payload.
    func seal(
        _ method: MultifdMethod,
        blockName: String,
        payload: UnsafeMutableRawBufferPointer?
    ) -> UnsafeMutableBufferPointer<iovec> {
        let payloadByteCount = unsafe payload?.count ?? normalCount * targetPageByteCount
        var bytes = unsafe MutableRawSpan(_unsafeBytes: header)
        MultifdPacketHeader(
            flags: MultifdFlags(method),
            pagesAllocated: MultifdPacketHeader.pageLimit,
            normalCount: normalCount,
            zeroCount: zeroCount,
            payloadByteCount: payloadByteCount,
            packetNumber: number,
            blockName: blockName
        ).encode(into: &bytes)
        for index in 0..<MultifdPacketHeader.pageLimit - normalCount {
            MultifdPacketHeader.setOffset(
                index < zeroCount ? UInt64(unsafe zeroOffsets[index]) : 0,
                at: normalCount + index,
                in: &bytes
            )
        }
        unsafe vector[0] = iovec(iov_base: header.baseAddress, iov_len: header.count)
        if let payload = unsafe payload {
            pieceCount = 1
            unsafe vector[1] = iovec(iov_base: payload.baseAddress, iov_len: payload.count)
        }
        return unsafe UnsafeMutableBufferPointer(rebasing: vector[0...pieceCount])
    }
}
