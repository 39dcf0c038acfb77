/// The 16 bytes that name a guest, in the order of the textual form.
public struct GuestUUID: Hashable, Sendable {
    /// The first 8 bytes, big-endian.
    public var high: UInt64
    /// The last 8 bytes, big-endian.
    public var low: UInt64

    /// Makes a UUID from its two halves.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The UUID of a guest that was given none.
    public static let zero = GuestUUID(high: 0, low: 0)

    /// Parses the form 8-4-4-4-12 of hexadecimal digits, as `-uuid` takes it.
    ///
    /// - Returns: nil for any other text.
    public init?(_ text: String) {
        let groups = text.split(separator: "-", omittingEmptySubsequences: false)
        guard groups.map(\.utf8.count) == [8, 4, 4, 4, 12] else {
            return nil
        }
        var digits: [UInt8] = []
        for character in groups.joined().utf8 {
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                digits.append(character - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                digits.append(character - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"):
                digits.append(character - UInt8(ascii: "A") + 10)
            default:
                return nil
            }
        }
        high = digits[..<16].reduce(0) { $0 << 4 | UInt64($1) }
        low = digits[16...].reduce(0) { $0 << 4 | UInt64($1) }
    }

    /// Decodes 16 bytes.
    ///
    /// - Throws: `WireError.truncated`.
    public init(decoding cursor: inout WireCursor, _ bytes: Span<UInt8>) throws(WireError) {
        try cursor.require(16, bytes, "guest UUID")
        high = try cursor.be64(bytes, "guest UUID")
        low = try cursor.be64(bytes, "guest UUID")
    }

    /// Appends the encoded form.
    public func encode(into output: inout [UInt8]) {
        output.appendBigEndian(high)
        output.appendBigEndian(low)
    }
}

extension GuestUUID: CustomStringConvertible {
    /// The textual form, lower case: `550e8400-e29b-41d4-a716-446655440000`.
    public var description: String {
        let digits = padded(high) + padded(low)
        var text = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) {
                text.append("-")
            }
            text.append(digit)
        }
        return text
    }

    private func padded(_ half: UInt64) -> String {
        let digits = String(half, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
