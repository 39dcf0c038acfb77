import CZlib

/// A picture of at most 256 colours, to be stored as PNG (colour type 3, 8 bits).
struct PNGImage {
    /// One colour; 255 is full, and an alpha of 0 is nothing at all.
    struct Color: Hashable, Sendable {
        var red: UInt8
        var green: UInt8
        var blue: UInt8
        var alpha: UInt8 = 255
    }

    let width: Int
    let height: Int
    /// At most 256.
    var palette: [Color]
    /// Index into the palette for each pixel, row by row.
    var pixels: [UInt8]

    /// The file.
    var encoded: [UInt8] {
        var output: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
        // 8 bits a pixel, indexed, the usual compression and filters, not interlaced.
        append("IHDR", bigEndian(width) + bigEndian(height) + [8, 3, 0, 0, 0], to: &output)
        append("PLTE", palette.flatMap { [$0.red, $0.green, $0.blue] }, to: &output)
        append("tRNS", palette.map(\.alpha), to: &output)
        append("IDAT", compressed, to: &output)
        append("IEND", [], to: &output)
        return output
    }

    private func append(_ type: String, _ data: [UInt8], to output: inout [UInt8]) {
        let content = Array(type.utf8) + data
        output += bigEndian(data.count) + content
        let sum = unsafe content.withUnsafeBufferPointer { bytes in
            unsafe crc32(0, bytes.baseAddress, UInt32(bytes.count))
        }
        output += bigEndian(Int(sum))
    }

    /// The rows, each after a byte that says that it isn't filtered, as one zlib stream.
    private var compressed: [UInt8] {
        var rows: [UInt8] = []
        rows.reserveCapacity((width + 1) * height)
        for row in 0..<height {
            rows.append(0)
            rows += pixels[row * width..<(row + 1) * width]
        }
        var byteCount = compressBound(UInt(rows.count))
        var output = [UInt8](repeating: 0, count: Int(byteCount))
        let code = unsafe output.withUnsafeMutableBufferPointer { target in
            unsafe rows.withUnsafeBufferPointer { source in
                unsafe compress2(
                    target.baseAddress,
                    &byteCount,
                    source.baseAddress,
                    UInt(source.count),
                    9
                )
            }
        }
        // With room for the worst case it only fails for want of memory.
        return code == Z_OK ? Array(output.prefix(Int(byteCount))) : []
    }

    private func bigEndian(_ value: Int) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
    }
}
