import BerthMemory
import BerthWire
import CZlib
import Glibc

/// Makes one zlib stream for each channel, flushed at the end of each packet.
@safe
final class ZlibCompressor: PacketCompressor {
    /// zlib keeps a pointer to it, so it must not move.
    private let stream: UnsafeMutablePointer<z_stream>
    private let payload: UnsafeMutableRawBufferPointer
    /// The page being compressed: zlib may read its input twice, and the guest writes to it.
    private let page = UnsafeMutableRawBufferPointer.allocate(
        byteCount: targetPageByteCount,
        alignment: 64
    )

    /// Begins a stream.
    ///
    /// - Parameter level: 0 (stored) to 9.
    init(level: Int) throws(StreamError) {
        unsafe payload = .allocate(byteCount: MultifdPacketHeader.payloadByteLimit, alignment: 64)
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let size = unsafe CInt(MemoryLayout<z_stream>.size)
        guard
            unsafe deflateInit_(stream, CInt(clamping: level), ZLIB_VERSION, size) == Z_OK
        else { throw .memory(for: .zlib) }
    }

    deinit {
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
        unsafe payload.deallocate()
        unsafe page.deallocate()
    }

    func compress(
        _ pieces: UnsafeMutableBufferPointer<iovec>
    ) throws(StreamError) -> UnsafeMutableRawBufferPointer {
        unsafe stream.pointee.next_out = payload.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe stream.pointee.avail_out = CUnsignedInt(payload.count)
        for index in 0..<pieces.count {
            let piece = unsafe UnsafeRawBufferPointer(
                start: pieces[index].iov_base,
                count: pieces[index].iov_len
            )
            var done = 0
            while done < piece.count {
                let end = min(done + targetPageByteCount, piece.count)
                unsafe page.copyMemory(from: UnsafeRawBufferPointer(rebasing: piece[done..<end]))
                try deflate(byteCount: end - done, Z_NO_FLUSH)
                done = end
            }
        }
        try deflate(byteCount: 0, Z_SYNC_FLUSH)
        let byteCount = unsafe payload.count - Int(stream.pointee.avail_out)
        return unsafe UnsafeMutableRawBufferPointer(rebasing: payload[..<byteCount])
    }

    private func deflate(byteCount: Int, _ flush: CInt) throws(StreamError) {
        unsafe stream.pointee.next_in = page.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe stream.pointee.avail_in = CUnsignedInt(byteCount)
        let code = unsafe CZlib.deflate(stream, flush)
        // The buffer is twice as large as the pages, and zlib adds a fraction of them at most.
        guard code == Z_OK, unsafe stream.pointee.avail_in == 0,
            unsafe stream.pointee.avail_out > 0
        else { throw .payload(.zlib, "can't be made (code \(code))") }
    }
}
