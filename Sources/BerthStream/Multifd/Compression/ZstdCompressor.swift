import BerthWire
import CZstd
import Glibc

/// Makes one zstd frame for each channel, flushed at the end of each packet and never ended.
///
/// zstd takes a copy of its input before it looks at it, as the frame isn't ended: pages may change
/// meanwhile.
@safe
final class ZstdCompressor: PacketCompressor {
    private let context: OpaquePointer
    private let payload: UnsafeMutableRawBufferPointer

    /// Begins a frame.
    ///
    /// - Parameter level: 0 (zstd's default) to 20.
    init(level: Int) throws(StreamError) {
        guard let context = unsafe ZSTD_createCCtx() else { throw .memory(for: .zstd) }
        unsafe self.context = unsafe context
        unsafe payload = .allocate(byteCount: MultifdPacketHeader.payloadByteLimit, alignment: 64)
        _ = unsafe ZSTD_CCtx_setParameter(
            context,
            ZSTD_c_compressionLevel,
            CInt(clamping: level)
        )
    }

    deinit {
        unsafe ZSTD_freeCCtx(context)
        unsafe payload.deallocate()
    }

    func compress(
        _ pieces: UnsafeMutableBufferPointer<iovec>
    ) throws(StreamError) -> UnsafeMutableRawBufferPointer {
        var output = unsafe ZSTD_outBuffer(dst: payload.baseAddress, size: payload.count, pos: 0)
        for index in 0..<pieces.count {
            var input = unsafe ZSTD_inBuffer(
                src: pieces[index].iov_base,
                size: pieces[index].iov_len,
                pos: 0
            )
            while unsafe input.pos < input.size {
                _ = unsafe try step(&output, &input, ZSTD_e_continue)
            }
        }
        var input = unsafe ZSTD_inBuffer(src: nil, size: 0, pos: 0)
        while unsafe try step(&output, &input, ZSTD_e_flush) > 0 {}
        return unsafe UnsafeMutableRawBufferPointer(rebasing: payload[..<output.pos])
    }

    private func step(
        _ output: inout ZSTD_outBuffer,
        _ input: inout ZSTD_inBuffer,
        _ directive: ZSTD_EndDirective
    ) throws(StreamError) -> Int {
        let code = unsafe ZSTD_compressStream2(context, &output, &input, directive)
        guard ZSTD_isError(code) == 0 else {
            throw .payload(
                .zstd,
                "can't be made: \(unsafe String(cString: ZSTD_getErrorName(code)))"
            )
        }
        // The buffer is twice as large as the pages, and zstd adds a fraction of them at most.
        guard unsafe output.pos < output.size else {
            throw .payload(.zstd, "can't be made: it is larger than its pages")
        }
        return code
    }
}
