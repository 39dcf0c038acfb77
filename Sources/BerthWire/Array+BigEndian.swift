extension [UInt8] {
    /// Appends an integer in network byte order.
    public mutating func appendBigEndian(_ value: some FixedWidthInteger & UnsignedInteger) {
        var shift = value.bitWidth
        while shift > 0 {
            shift -= 8
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    /// Appends a name as one length byte and its bytes.
    ///
    /// - Precondition: the name has 1 to 255 bytes. Names that a user chooses are checked with
    ///   `Limits.isName(_:)` where they enter.
    public mutating func appendName(_ name: String) {
        let count = name.utf8.count
        precondition((1...255).contains(count), "a name in a stream has 1 to 255 bytes")
        append(UInt8(truncatingIfNeeded: count))
        append(contentsOf: name.utf8)
    }

    /// Appends `count` zero bytes.
    mutating func appendZeros(_ count: Int) {
        append(contentsOf: repeatElement(0, count: count))
    }
}
