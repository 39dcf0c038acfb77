/// Decoding of UTF-8 with QEMU's idea of what is valid.
enum UnicodeDecoding {
    /// Decodes the character at `index`, and moves past it.
    ///
    /// - Parameters:
    ///   - bytes: text with at least one byte at `index`.
    ///   - dialect: `monitor` refuses noncharacters and accepts C0 80 for U+0000.
    /// - Returns: nil for a sequence that is no character; `index` is then past its last byte that
    ///   could have belonged to it.
    static func decode(
        _ bytes: ArraySlice<UInt8>,
        _ index: inout Int,
        _ dialect: JSONDialect
    ) -> Unicode.Scalar? {
        let first = bytes[index]
        index += 1
        let following: Int
        switch first {
        case 0..<0x80: return Unicode.Scalar(first)
        case 0xC0..<0xE0: following = 1
        case 0xE0..<0xF0: following = 2
        case 0xF0..<0xF8: following = 3
        case 0xF8..<0xFC: following = 4
        case 0xFC..<0xFE: following = 5
        default: return nil
        }
        var codePoint = UInt32(first) & (0x3F >> UInt32(following))
        for _ in 0..<following {
            guard index < bytes.endIndex, bytes[index] & 0xC0 == 0x80 else { return nil }
            codePoint = codePoint << 6 | UInt32(bytes[index] & 0x3F)
            index += 1
        }
        if codePoint == 0 && following == 1 && dialect == .monitor { return "\0" }
        guard codePoint >= smallest[following] else { return nil }
        if dialect == .monitor && JSONText.isNoncharacter(codePoint) { return nil }
        return Unicode.Scalar(codePoint)
    }

    /// The first code point that needs this many continuation bytes.
    private static let smallest: [UInt32] = [0, 0x80, 0x800, 0x1_0000, 0x20_0000, 0x400_0000]

    /// Text for a message: every sequence that is no character becomes U+FFFD.
    static func repair(_ bytes: ArraySlice<UInt8>) -> String {
        var text = String.UnicodeScalarView()
        var index = bytes.startIndex
        while index < bytes.endIndex {
            text.append(decode(bytes, &index, .monitor) ?? "\u{FFFD}")
        }
        return String(text)
    }
}
