/// Which page is meant.
public enum PagePlace: Sendable, Equatable {
    /// The one with this byte of a block.
    case block(String, offset: UInt64)
    /// The one with this guest-physical address.
    case address(UInt64)

    /// Reads `BLOCK:OFFSET` or `ADDRESS`; numbers are decimal, or hexadecimal behind `0x`.
    ///
    /// - Returns: nil if the text is neither.
    public init?(_ text: String) {
        if let address = Self.number(text[...]) {
            self = .address(address)
            return
        }
        // Names of blocks have colons, too.
        guard let colon = text.lastIndex(of: ":"), colon > text.startIndex,
            let offset = Self.number(text[text.index(after: colon)...])
        else {
            return nil
        }
        self = .block(String(text[..<colon]), offset: offset)
    }

    private static func number(_ text: Substring) -> UInt64? {
        guard text.first?.isNumber == true else { return nil }
        return text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
    }
}
