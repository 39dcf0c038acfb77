import Glibc

/// One line of `Tests/Vectors/qmp/dialect.txt`: an input of a QMP client, and what QEMU replied.
public struct DialectRow: Sendable, CustomStringConvertible {
    /// The line's number in the table.
    public let number: Int
    /// What it is about.
    public let title: String
    /// The bytes that the client sent after it had negotiated.
    public let input: [UInt8]
    /// The replies, each without its line end.
    public let replies: [String]

    /// Number and title.
    public var description: String { "\(number) \(title)" }

    /// All lines of the table.
    public static let all: [DialectRow] = {
        let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
        return text(at: "/\(folder)/../Vectors/qmp/dialect.txt")
            .split(separator: "\n").filter { !$0.hasPrefix("#") }.compactMap { DialectRow($0) }
    }()

    private init?(_ line: Substring) {
        let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
        guard fields.count >= 3, let number = Int(fields[0]) else { return nil }
        self.number = number
        title = String(fields[1])
        input = Self.bytes(fields[2])
        replies = fields[3...].map { Self.reply($0) }
    }

    private static func bytes(_ field: Substring) -> [UInt8] {
        // The words EX and TEXT apart, no input has these two letters in a row.
        let command = "\"execute\":\"query-name\""
        var bytes: [UInt8] = []
        var rest = field[...]
        while let first = rest.first {
            if first == "\u{2039}", let byte = UInt8(rest.dropFirst().prefix(2), radix: 16) {
                bytes.append(byte)
                rest = rest.dropFirst(4)
            } else if rest.hasPrefix("EX") {
                bytes += Array(command.utf8)
                rest = rest.dropFirst(2)
            } else {
                bytes += Array(String(first).utf8)
                rest = rest.dropFirst()
            }
        }
        return bytes
    }

    private static func reply(_ field: Substring) -> String {
        let parts = field.split(separator: " ", maxSplits: 1).map(String.init)
        let text = parts.count > 1 ? parts[1] : ""
        switch parts[0] {
        case "OK": return text.isEmpty ? #"{"return": {}}"# : #"{"return": {}, "id": \#(text)}"#
        case "GE": return error("GenericError", text)
        case "PE": return error("GenericError", "JSON parse error, " + text)
        case "CNF": return error("CommandNotFound", text)
        default: return String(field)
        }
    }

    private static func error(_ errorClass: String, _ text: String) -> String {
        var desc = text[...]
        var id = ""
        if let mark = text.firstRange(of: " +id ") {
            desc = text[..<mark.lowerBound]
            id = #""id": \#(text[mark.upperBound...]), "#
        }
        return #"{\#(id)"error": {"class": "\#(errorClass)", "desc": "\#(desc)"}}"#
    }

    private static func text(at path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while case let byte = getc(file), byte != EOF { bytes.append(UInt8(byte)) }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension StringProtocol {
    /// The first place where a text occurs.
    public func firstRange(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
