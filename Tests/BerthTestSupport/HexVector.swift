public import Foundation

/// Bytes from an annotated hex file under Tests/Vectors; the syntax is in its README.
public enum HexVector {
    /// What is wrong with a vector file.
    public struct SyntaxError: Error, CustomStringConvertible {
        /// The file, the line and what was found there.
        public let description: String
    }

    /// The directory that holds all vectors.
    public static let directory = URL(filePath: #filePath)
        .deletingLastPathComponent()
        .deletingLastPathComponent()
        .appending(path: "Vectors")

    /// Reads the vector with this path below Tests/Vectors, without `.hex`.
    public static func load(_ name: String) throws -> [UInt8] {
        let file = directory.appending(path: name + ".hex")
        let text = try String(contentsOf: file, encoding: .utf8)
        var bytes: [UInt8] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            guard let tokens = parse(line) else {
                throw SyntaxError(description: "\(name).hex:\(index + 1): cannot read '\(line)'")
            }
            bytes += tokens
        }
        return bytes
    }

    /// Names of all vectors in a directory below Tests/Vectors, sorted.
    public static func names(in format: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(
            atPath: directory.appending(path: format).path(percentEncoded: false)
        )
        .filter { $0.hasSuffix(".hex") }
        .map { "\(format)/\($0.dropLast(4))" }
        .sorted()
    }

    /// Reads the tokens of one line; nil if something is none.
    static func parse(_ line: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = line.utf8[...]
        while let first = rest.popFirst() {
            switch first {
            case UInt8(ascii: " "), UInt8(ascii: "\t"):
                continue
            case UInt8(ascii: "#"):
                return bytes
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                guard let end = rest.firstIndex(of: first) else {
                    return nil
                }
                bytes += rest[..<end]
                rest = rest[rest.index(after: end)...]
            case UInt8(ascii: "*"):
                let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
                guard let last = bytes.last, let count = Int(String(Substring(digits))), count > 0
                else {
                    return nil
                }
                bytes += repeatElement(last, count: count - 1)
                rest = rest.dropFirst(digits.count)
            default:
                guard let high = digit(first), let low = rest.popFirst().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            }
        }
        return bytes
    }

    private static func digit(_ character: UInt8) -> UInt8? {
        Character(UnicodeScalar(character)).hexDigitValue.map(UInt8.init)
    }
}
