import BerthWire
import CZlib
import Glibc

/// Reads the one zlib stream of a channel.
@safe
final class ZlibDecompressor: PacketDecompressor {
    /// zlib keeps a pointer to it, so it must not move.
    private let stream: UnsafeMutablePointer<z_stream>

    init() throws(StreamError) {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        let size = unsafe CInt(MemoryLayout<z_stream>.size)
        guard unsafe inflateInit_(stream, ZLIB_VERSION, size) == Z_OK else {
            throw .memory(for: .zlib)
        }
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    func decompress(
        _ payload: UnsafeRawBufferPointer,
        into pieces: UnsafeMutableBufferPointer<iovec>
    ) throws(StreamError) {
        let input = unsafe payload.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: input)
        unsafe stream.pointee.avail_in = CUnsignedInt(clamping: payload.count)
        for index in 0..<pieces.count {
            let piece = unsafe pieces[index]
            let rest = unsafe try inflate(into: piece.iov_base, byteCount: piece.iov_len)
            guard rest == 0 else { throw .payload(.zlib, "holds less than its pages") }
        }
        // What is left is the mark of the flush. A byte that comes of it is one too many.
        var extra: UInt8 = 0
        guard unsafe try inflate(into: &extra, byteCount: 1) == 1 else {
            throw .payload(.zlib, "holds more than its pages")
        }
    }

    /// Decompresses until the memory is full or the input is used up.
    ///
    /// - Returns: bytes that weren't filled.
    private func inflate(
        into base: UnsafeMutableRawPointer?,
        byteCount: Int
    ) throws(StreamError) -> Int {
        unsafe stream.pointee.next_out = unsafe base?.assumingMemoryBound(to: UInt8.self)
        unsafe stream.pointee.avail_out = CUnsignedInt(byteCount)
        let code = unsafe CZlib.inflate(stream, Z_SYNC_FLUSH)
        // Z_BUF_ERROR: there was nothing to do.
        guard code == Z_OK || code == Z_BUF_ERROR else {
            if code == Z_STREAM_END {
                throw .payload(.zlib, "ends the channel's stream")
            }
            let reason = unsafe stream.pointee.msg.map { unsafe String(cString: $0) }
            throw .payload(.zlib, "isn't valid: \(reason ?? "code \(code)")")
        }
        return Int(unsafe stream.pointee.avail_out)
    }
}
