import CZlib
import Foundation
import Testing

/// A PNG picture of indexed colours out of a page, decoded by zlib and by what the format says.
struct HTMLPicture {
    var width = 0
    var height = 0
    /// Red, green, blue and alpha of each pixel, row by row.
    var pixels: [[UInt8]] = []

    /// Decodes the first picture of a piece of HTML.
    init(firstIn html: String) throws {
        let start = try #require(html.range(of: "data:image/png;base64,"))
        let text = html[start.upperBound...].prefix { $0 != "\"" }
        let file = try #require(Data(base64Encoded: String(text)))
        try self.init([UInt8](file))
    }

    private init(_ file: [UInt8]) throws {
        try #require(file.prefix(8).elementsEqual([137, 80, 78, 71, 13, 10, 26, 10]))
        var chunks: [String: [UInt8]] = [:]
        var rest = file.dropFirst(8)
        while !rest.isEmpty {
            let count = Self.number(rest.prefix(4))
            let content = Array(rest.dropFirst(4).prefix(4 + count))
            let type = String(decoding: content.prefix(4), as: UTF8.self)
            chunks[type] = Array(content.dropFirst(4))
            let sum = Self.number(rest.dropFirst(8 + count).prefix(4))
            #expect(sum == Int(crc32(0, content, UInt32(content.count))), "\(type)")
            rest = rest.dropFirst(12 + count)
        }
        let header = try #require(chunks["IHDR"])
        width = Self.number(header.prefix(4))
        height = Self.number(header.dropFirst(4).prefix(4))
        try #require(header.dropFirst(8).elementsEqual([8, 3, 0, 0, 0]))
        #expect(chunks["IEND"] == [])
        let colors = try #require(chunks["PLTE"])
        let alphas = try #require(chunks["tRNS"])
        let compressed = try #require(chunks["IDAT"])
        var rows = [UInt8](repeating: 0, count: (width + 1) * height)
        var count = UInt(rows.count)
        try #require(uncompress(&rows, &count, compressed, UInt(compressed.count)) == Z_OK)
        try #require(count == UInt(rows.count))
        for row in 0..<height {
            let line = rows[row * (width + 1)..<(row + 1) * (width + 1)]
            #expect(line.first == 0)
            pixels += line.dropFirst().map { index in
                Array(colors[Int(index) * 3..<Int(index) * 3 + 3]) + [alphas[Int(index)]]
            }
        }
    }

    private static func number(_ bytes: some Sequence<UInt8>) -> Int {
        bytes.reduce(0) { $0 << 8 | Int($1) }
    }
}
