import BerthWire
import CZstd
import Glibc

/// Reads the one zstd frame of a channel.
@safe
final class ZstdDecompressor: PacketDecompressor {
    private let context: OpaquePointer

    /// Binary logarithm of the most memory that a frame may ask for.
    ///
    /// 32 MiB, which is what level 20 takes, the highest of `multifd-zstd-level`.
    private static let windowLogLimit: CInt = 25

    init() throws(StreamError) {
        guard let context = unsafe ZSTD_createDCtx() else { throw .memory(for: .zstd) }
        unsafe self.context = unsafe context
        _ = unsafe ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Self.windowLogLimit)
    }

    deinit {
        unsafe ZSTD_freeDCtx(context)
    }

    func decompress(
        _ payload: UnsafeRawBufferPointer,
        into pieces: UnsafeMutableBufferPointer<iovec>
    ) throws(StreamError) {
        var input = unsafe ZSTD_inBuffer(src: payload.baseAddress, size: payload.count, pos: 0)
        for index in 0..<pieces.count {
            let piece = unsafe pieces[index]
            let rest = unsafe try decompress(
                &input,
                into: piece.iov_base,
                byteCount: piece.iov_len
            )
            guard rest == 0 else { throw .payload(.zstd, "holds less than its pages") }
        }
        // Nothing is left to come; a byte that does is one too many.
        var extra: UInt8 = 0
        guard unsafe try decompress(&input, into: &extra, byteCount: 1) == 1 else {
            throw .payload(.zstd, "holds more than its pages")
        }
    }

    /// Decompresses until the memory is full or nothing more comes of the input.
    ///
    /// - Returns: bytes that weren't filled.
    private func decompress(
        _ input: inout ZSTD_inBuffer,
        into base: UnsafeMutableRawPointer?,
        byteCount: Int
    ) throws(StreamError) -> Int {
        var output = unsafe ZSTD_outBuffer(dst: base, size: byteCount, pos: 0)
        while unsafe output.pos < byteCount {
            let before = unsafe (input.pos, output.pos)
            let code = unsafe ZSTD_decompressStream(context, &output, &input)
            guard ZSTD_isError(code) == 0 else {
                let reason = unsafe String(cString: ZSTD_getErrorName(code))
                throw .payload(.zstd, "isn't valid: \(reason)")
            }
            // The end of the frame, after which another would begin: no source makes one.
            guard code > 0 else { throw .payload(.zstd, "ends the channel's frame") }
            if unsafe (input.pos, output.pos) == before { break }
        }
        return unsafe byteCount - output.pos
    }
}
