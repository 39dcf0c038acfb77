/// Splits a schema file into tokens.
///
/// Doc comments are tokens, other comments vanish.
struct SchemaLexer {
    enum Token: Equatable {
        case punctuation(Character)
        case string(String)
        case boolean(Bool)
        case integer(Int64)
        /// Lines between two lines of `##`, without the leading `#` and its blank.
        case documentation([String])
        case end
    }

    private let bytes: [UInt8]
    private let file: String
    private var position = 0
    private var line = 1

    init(_ bytes: [UInt8], file: String) {
        self.bytes = bytes
        self.file = file
    }

    var place: SourcePlace { SourcePlace(file: file, line: line) }

    /// The next token, and the line it begins in.
    mutating func next() throws(SchemaError) -> (token: Token, place: SourcePlace) {
        while position < bytes.count {
            let start = place
            switch bytes[position] {
            case UInt8(ascii: "\n"):
                line += 1
                position += 1
            case UInt8(ascii: " "):
                position += 1
            case UInt8(ascii: "#"):
                if let lines = try comment() { return (.documentation(lines), start) }
            case UInt8(ascii: "'"):
                return (.string(try string()), start)
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                return (.integer(try integer()), start)
            case UInt8(ascii: "a")...UInt8(ascii: "z"):
                return (.boolean(try boolean()), start)
            case let byte where "{}[]:,".utf8.contains(byte):
                position += 1
                return (.punctuation(Character(UnicodeScalar(byte))), start)
            default:
                throw SchemaError(place: start, message: "stray character")
            }
        }
        return (.end, place)
    }

    /// Reads a comment; answers its lines if it is a doc comment.
    private mutating func comment() throws(SchemaError) -> [String]? {
        let start = place
        guard restOfLine() == "##" else { return nil }
        var lines: [String] = []
        while position < bytes.count, bytes[position] == UInt8(ascii: "#") {
            let text = restOfLine()
            if text == "##" { return lines }
            guard text == "#" || text.hasPrefix("# ") else {
                throw SchemaError(place: place, message: "'#' must be followed by a blank")
            }
            lines.append(String(text.dropFirst(2)))
        }
        throw SchemaError(place: start, message: "doc comment without an end")
    }

    /// The rest of the line, and moves on to the next one.
    private mutating func restOfLine() -> String {
        let end = bytes[position...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
        defer {
            position = min(end + 1, bytes.count)
            line += 1
        }
        return String(decoding: bytes[position..<end], as: UTF8.self)
    }

    private mutating func string() throws(SchemaError) -> String {
        let start = position + 1
        guard let end = bytes[start...].firstIndex(of: UInt8(ascii: "'")),
            !bytes[start..<end].contains(UInt8(ascii: "\n"))
        else { throw SchemaError(place: place, message: "string without an end") }
        position = end + 1
        return String(decoding: bytes[start..<end], as: UTF8.self)
    }

    private mutating func integer() throws(SchemaError) -> Int64 {
        let word = takeWhile { $0 == UInt8(ascii: "-") || (48...57).contains($0) }
        guard let value = Int64(word) else {
            throw SchemaError(place: place, message: "bad number '\(word)'")
        }
        return value
    }

    private mutating func boolean() throws(SchemaError) -> Bool {
        let word = takeWhile { (97...122).contains($0) }
        switch word {
        case "true": return true
        case "false": return false
        default: throw SchemaError(place: place, message: "unknown word '\(word)'")
        }
    }

    private mutating func takeWhile(_ belongs: (UInt8) -> Bool) -> String {
        let start = position
        while position < bytes.count, belongs(bytes[position]) { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }
}
