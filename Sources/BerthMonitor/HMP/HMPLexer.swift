/// What is wrong with a line, as the lines to be shown.
struct HMPSyntaxError: Error, Equatable {
    var lines: [String]

    init(_ lines: String...) { self.lines = lines }
}

/// Goes through a line from left to right.
struct HMPLexer {
    private let bytes: [UInt8]
    /// Where it is, in bytes.
    private(set) var offset = 0

    init(_ line: String) {
        bytes = Array(line.utf8)
    }

    var isAtEnd: Bool { offset >= bytes.count }

    /// The next byte; nil at the end.
    var next: UInt8? { isAtEnd ? nil : bytes[offset] }

    mutating func skip(_ count: Int = 1) { offset = min(offset + count, bytes.count) }

    mutating func skipBlanks() {
        while let byte = next, Self.isBlank(byte) { offset += 1 }
    }

    /// Goes back to where it has been.
    mutating func rewind(to earlier: Int) { offset = min(offset, earlier) }

    /// The text from `start` to here.
    func text(from start: Int) -> String { text(from: start, to: offset) }

    func text(from start: Int, to end: Int) -> String {
        String(decoding: bytes[min(start, end)..<min(end, bytes.count)], as: UTF8.self)
    }

    /// Takes the rest of the line.
    mutating func rest() -> String {
        defer { offset = bytes.count }
        return text(from: offset, to: bytes.count)
    }

    /// Takes bytes up to a blank, without a meaning for quotes; empty at the end of the line.
    mutating func run(until isEnd: (UInt8) -> Bool = isBlank) -> String {
        let start = offset
        while let byte = next, !isEnd(byte) { offset += 1 }
        return text(from: start)
    }

    /// Takes a word, or a text in double quotes.
    ///
    /// - Returns: nil at the end of the line.
    mutating func word() throws(HMPSyntaxError) -> String? {
        skipBlanks()
        guard let first = next else { return nil }
        guard first == UInt8(ascii: "\"") else { return run() }
        offset += 1
        var text: [UInt8] = []
        while let byte = next {
            offset += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): text.append(try escape())
            default: text.append(byte)
            }
        }
        throw HMPSyntaxError("unterminated string")
    }

    private mutating func escape() throws(HMPSyntaxError) -> UInt8 {
        guard let letter = next else { throw HMPSyntaxError("unterminated string") }
        offset += 1
        switch letter {
        case UInt8(ascii: "n"): return UInt8(ascii: "\n")
        case UInt8(ascii: "r"): return UInt8(ascii: "\r")
        case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): return letter
        default:
            let shown = Character(UnicodeScalar(letter))
            throw HMPSyntaxError("unsupported escape code: '\\\(shown)'")
        }
    }

    /// What C's `isspace` takes for blank.
    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}
