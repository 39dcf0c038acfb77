import BerthMemory
import BerthTestSupport
import BerthWire
import Glibc
import Testing

@testable import BerthStream

@Suite struct MultifdCompressionTests {
    /// Compressions that Berth makes, at the ends of their range of levels.
    static let compressions: [MultifdCompression] = [
        .zlib(level: 0), .zlib(level: 1), .zlib(level: 9),
        .zstd(level: 0), .zstd(level: 1), .zstd(level: 19),
    ]

    /// Pages of words that repeat a lot or not at all.
    private func pages(
        _ count: Int,
        range: UInt64,
        _ generator: inout SeededGenerator
    ) -> [UInt8] {
        var bytes = [UInt8]()
        bytes.reserveCapacity(count * targetPageByteCount)
        while bytes.count < count * targetPageByteCount {
            withUnsafeBytes(of: UInt64.random(in: 0..<range, using: &generator)) {
                bytes.append(contentsOf: $0)
            }
        }
        return bytes
    }

    /// Compresses bytes that are given as pieces of these many pages.
    private func payload(
        of bytes: inout [UInt8],
        pieces: [Int] = [],
        by compressor: any PacketCompressor
    ) throws -> [UInt8] {
        try bytes.withUnsafeMutableBytes { bytes in
            var vector: [iovec] = []
            var start = 0
            for count in pieces + [bytes.count / targetPageByteCount - pieces.reduce(0, +)] {
                let byteCount = count * targetPageByteCount
                vector.append(
                    iovec(iov_base: bytes.baseAddress.map { $0 + start }, iov_len: byteCount)
                )
                start += byteCount
            }
            return try vector.withUnsafeMutableBufferPointer {
                Array(try compressor.compress($0))
            }
        }
    }

    private func pages(
        _ count: Int,
        of payload: [UInt8],
        by decompressor: any PacketDecompressor
    ) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0xee, count: count * targetPageByteCount)
        try bytes.withUnsafeMutableBytes { bytes in
            // Page by page, as they may lie anywhere.
            var vector = (0..<count).map { page in
                iovec(
                    iov_base: bytes.baseAddress.map { $0 + page * targetPageByteCount },
                    iov_len: targetPageByteCount
                )
            }
            try vector.withUnsafeMutableBufferPointer { vector in
                try payload.withUnsafeBytes { try decompressor.decompress($0, into: vector) }
            }
        }
        return bytes
    }

    @Test(arguments: compressions)
    func `packets of one channel survive compression`(compression: MultifdCompression) throws {
        var generator = SeededGenerator()
        let seed = generator.seed
        let compressor = try #require(try compression.compressor())
        let decompressor = try #require(try compression.method.decompressor())
        for (count, range) in [(128, 4), (1, .max), (128, .max), (3, 2), (127, 1 << 20)]
            as [(Int, UInt64)]
        {
            var bytes = pages(count, range: range, &generator)
            let payload = try payload(of: &bytes, pieces: count > 8 ? [1, 5] : [], by: compressor)
            #expect(payload.count <= MultifdPacketHeader.payloadByteLimit)
            #expect(
                try pages(count, of: payload, by: decompressor) == bytes,
                "BERTH_TEST_SEED=\(seed)"
            )
        }
    }

    @Test func `a zlib channel is one stream that is flushed with each packet`() throws {
        var generator = SeededGenerator()
        let compressor = try ZlibCompressor(level: 1)
        var bytes = pages(2, range: 9, &generator)
        let first = try payload(of: &bytes, by: compressor)
        let second = try payload(of: &bytes, by: compressor)
        #expect(first.prefix(2) == [0x78, 0x01])
        #expect(second.prefix(2) != [0x78, 0x01])
        for payload in [first, second] { #expect(payload.suffix(4) == [0, 0, 0xff, 0xff]) }
        #expect(second.count < first.count, "what came before isn't referred to")
    }

    @Test func `a zstd channel is one frame that is flushed with each packet`() throws {
        var generator = SeededGenerator()
        let compressor = try ZstdCompressor(level: 1)
        var bytes = pages(2, range: .max, &generator)
        let magic: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd]
        let first = try payload(of: &bytes, by: compressor)
        let second = try payload(of: &bytes, by: compressor)
        #expect(first.prefix(4) == magic[...])
        #expect(second.prefix(4) != magic[...])
        #expect(second.count < first.count / 8, "what came before isn't referred to")
    }

    @Test func `no compression needs nothing`() throws {
        #expect(try MultifdCompression.none.compressor() == nil)
        #expect(try MultifdMethod.none.decompressor() == nil)
    }

    @Test(arguments: [MultifdMethod.qpl, .uadk, .qatzip])
    func `methods that need hardware are refused`(method: MultifdMethod) {
        let error = #expect(throws: StreamError.self) { try method.decompressor() }
        #expect(error?.message == "the pages are compressed with \(method)")
        #expect(error?.hint == "set multifd-compression to none, zlib or zstd at the source")
    }

    // MARK: Hostile payloads

    private func refusal(
        _ payload: [UInt8],
        _ count: Int = 2,
        by decompressor: any PacketDecompressor
    ) -> String? {
        let error = #expect(throws: StreamError.self) {
            try pages(count, of: payload, by: decompressor)
        }
        #expect(error?.code == .malformed)
        return error?.message
    }

    @Test(arguments: [MultifdCompression.zlib(level: 1), .zstd(level: 1)])
    func `a payload holds exactly its pages`(compression: MultifdCompression) throws {
        var generator = SeededGenerator()
        var bytes = pages(2, range: .max, &generator)
        let compressor = try #require(try compression.compressor())
        let payload = try payload(of: &bytes, by: compressor)
        let name = "\(compression.method)"
        for count in [1, 3, 128] {
            let decompressor = try #require(try compression.method.decompressor())
            let holds = count < 2 ? "more" : "less"
            #expect(
                refusal(payload, count, by: decompressor)
                    == "the packet's \(name) payload holds \(holds) than its pages"
            )
        }
        for cut in [0, 1, payload.count / 2] {
            let decompressor = try #require(try compression.method.decompressor())
            #expect(
                refusal(Array(payload.prefix(cut)), by: decompressor)
                    == "the packet's \(name) payload holds less than its pages"
            )
        }
    }

    @Test(arguments: [MultifdMethod.zlib, .zstd])
    func `a payload that isn't compressed is refused`(method: MultifdMethod) throws {
        let decompressor = try #require(try method.decompressor())
        let message = refusal([UInt8](repeating: 0x5a, count: 100), by: decompressor)
        #expect(message?.hasPrefix("the packet's \(method) payload isn't valid: ") == true)
    }

    @Test func `a second zlib stream on a channel is refused`() throws {
        var generator = SeededGenerator()
        var bytes = pages(2, range: 9, &generator)
        let decompressor = try ZlibDecompressor()
        let payload = try payload(of: &bytes, by: try ZlibCompressor(level: 1))
        #expect(try pages(2, of: payload, by: decompressor) == bytes)
        #expect(refusal(payload, by: decompressor)?.contains("isn't valid") == true)
    }

    @Test func `a zlib stream that ends is refused`() throws {
        // Header, an empty last block, checksum of nothing.
        let end: [UInt8] = [0x78, 0x01, 0x03, 0x00, 0, 0, 0, 1]
        #expect(
            refusal(end, by: try ZlibDecompressor())
                == "the packet's zlib payload ends the channel's stream"
        )
    }

    @Test func `a zstd frame that ends is refused`() throws {
        // Magic, a frame without size or checksum and a window of 1 KiB, an empty last raw block.
        let end: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x00, 0x01, 0x00, 0x00]
        #expect(
            refusal(end, by: try ZstdDecompressor())
                == "the packet's zstd payload ends the channel's frame"
        )
    }

    @Test func `a zstd frame cannot ask for more memory than level 20 does`() throws {
        // The window is a power of two: 5 bits of exponent over 1 KiB, 3 bits of mantissa.
        let head: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0x00]
        let tail: [UInt8] = [0x04, 0x00, 0x00] + [UInt8](repeating: 0, count: 16)
        let allowed = refusal(head + [15 << 3] + tail, by: try ZstdDecompressor())
        #expect(allowed?.contains("memory") == false)
        let refused = refusal(head + [16 << 3] + tail, by: try ZstdDecompressor())
        #expect(refused?.contains("too much memory") == true)
    }
}
