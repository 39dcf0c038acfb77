/// Bytes as text for a `data:` address (RFC 4648, section 4).
func base64(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var output: [UInt8] = []
    output.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = bytes[start..<min(start + 3, bytes.count)]
        var word = group.reduce(0) { $0 << 8 | Int($1) }
        word <<= 8 * (3 - group.count)
        for position in 0..<4 {
            // A group of n bytes has n + 1 characters.
            let character = alphabet[word >> (18 - 6 * position) & 63]
            output.append(position <= group.count ? character : UInt8(ascii: "="))
        }
    }
    return String(decoding: output, as: UTF8.self)
}
