/// Makes lines of what a client types or sends, without echo.
///
/// CR and LF each end a line. Other control characters are ignored, but those that take something
/// back do so; key sequences of terminals are skipped.
struct HMPLineReader {
    /// Bytes of a line that are kept, as in QEMU.
    static let byteLimit = 4095

    /// What the bytes came to.
    enum Output: Equatable {
        case line(String)
        /// A line beyond the limit. QEMU runs what fits; half a command is worse than none.
        case tooLong
    }

    private enum Mode {
        case text
        case escape
        /// In a sequence that ends with a letter or `~`.
        case sequence
        /// One character more.
        case single
    }

    private var line: [UInt8] = []
    private var isTooLong = false
    private var mode = Mode.text

    /// Takes bytes up to the end of a line.
    ///
    /// - Parameters:
    ///   - bytes: what came.
    ///   - index: the first byte that wasn't taken yet; moves on.
    /// - Returns: the line, or nil when all bytes are taken and its end isn't among them.
    mutating func next(in bytes: [UInt8], at index: inout Int) -> Output? {
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if let output = take(byte) { return output }
        }
        return nil
    }

    private mutating func take(_ byte: UInt8) -> Output? {
        if byte == UInt8(ascii: "\r") || byte == UInt8(ascii: "\n") {
            defer { self = HMPLineReader() }
            return isTooLong ? .tooLong : .line(String(decoding: line, as: UTF8.self))
        }
        switch mode {
        case .text: takeText(byte)
        case .escape:
            mode =
                switch byte {
                case UInt8(ascii: "["): .sequence
                case UInt8(ascii: "O"): .single
                default: .text
                }
        case .sequence:
            if (0x40...0x7E).contains(byte) { mode = .text }
        case .single: mode = .text
        }
        return nil
    }

    private mutating func takeText(_ byte: UInt8) {
        switch byte {
        case 0x08, 0x7F: removeCharacter()
        case 0x15: line = []
        case 0x17:
            while line.last == UInt8(ascii: " ") { line.removeLast() }
            while let last = line.last, last != UInt8(ascii: " ") { line.removeLast() }
        case 0x1B: mode = .escape
        case 0x20...:
            if line.count < Self.byteLimit { line.append(byte) } else { isTooLong = true }
        default: break
        }
    }

    /// Removes the last character with all of its bytes.
    private mutating func removeCharacter() {
        while let last = line.popLast(), last & 0xC0 == 0x80 {}
    }
}
