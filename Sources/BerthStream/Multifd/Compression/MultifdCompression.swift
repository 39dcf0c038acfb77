public import BerthWire
import Glibc

/// How a source compresses the pages of multifd packets: `multifd-compression` and its levels.
public enum MultifdCompression: Sendable, Equatable {
    /// Pages leave as they are, from where they lie.
    case none
    /// zlib; `multifd-zlib-level`, 0 (stored) to 9.
    case zlib(level: Int)
    /// zstd; `multifd-zstd-level`, 0 (zstd's default) to 20.
    case zstd(level: Int)

    /// How packets call it.
    public var method: MultifdMethod {
        switch self {
        case .none: .none
        case .zlib: .zlib
        case .zstd: .zstd
        }
    }

    /// Makes what compresses the packets of one channel; nil if nothing is to be done.
    ///
    /// - Throws: `.limitExceeded` if its memory can't be had.
    func compressor() throws(StreamError) -> (any PacketCompressor)? {
        switch self {
        case .none: nil
        case .zlib(let level): try ZlibCompressor(level: level)
        case .zstd(let level): try ZstdCompressor(level: level)
        }
    }
}

extension MultifdMethod {
    /// Makes what decompresses the packets of one channel; nil if nothing is to be done.
    ///
    /// - Throws: `.unsupported` for methods that need hardware; `.limitExceeded` if its memory
    ///   can't be had.
    func decompressor() throws(StreamError) -> (any PacketDecompressor)? {
        switch self {
        case .none: nil
        case .zlib: try ZlibDecompressor()
        case .zstd: try ZstdDecompressor()
        case .qpl, .uadk, .qatzip:
            throw StreamError(
                .unsupported,
                "the pages are compressed with \(name)",
                hint: "set multifd-compression to none, zlib or zstd at the source"
            )
        }
    }
}

/// Compresses the packets of one channel, one after the other: each refers to those before.
///
/// One thread calls it.
protocol PacketCompressor: AnyObject {
    /// Compresses pages that may change meanwhile.
    ///
    /// - Parameter pieces: where the pages lie; at most one packet's.
    /// - Returns: the payload, valid until the next call.
    /// - Throws: `.malformed` if the library fails, which it never does with pages.
    func compress(
        _ pieces: UnsafeMutableBufferPointer<iovec>
    ) throws(StreamError) -> UnsafeMutableRawBufferPointer
}

/// Decompresses the packets of one channel, one after the other: each refers to those before.
///
/// One thread calls it. After an error nothing more can be decompressed.
protocol PacketDecompressor: AnyObject {
    /// Fills memory with what a payload holds, which must be exactly that much.
    ///
    /// - Parameters:
    ///   - payload: all of one packet's.
    ///   - pieces: where the bytes go, in this order; not changed.
    /// - Throws: `.malformed` for a payload that isn't valid, or holds more or less.
    func decompress(
        _ payload: UnsafeRawBufferPointer,
        into pieces: UnsafeMutableBufferPointer<iovec>
    ) throws(StreamError)
}

extension StreamError {
    /// The error for a payload that cannot be decompressed.
    static func payload(_ method: MultifdMethod, _ problem: String) -> StreamError {
        StreamError(.malformed, "the packet's \(method.name) payload \(problem)")
    }

    /// The error for memory that a library didn't get.
    static func memory(for method: MultifdMethod) -> StreamError {
        StreamError(.limitExceeded, "there is no memory for \(method.name) on one more channel")
    }
}
