/// A piece of HTML, written as a literal whose interpolations are escaped.
///
/// What is shown are strangers' names and texts; so nothing gets into a page as markup but what
/// stands in the source, or is a piece of HTML itself.
///
///     let row: HTML = "<td>\(block.name)</td>"
public struct HTML: Sendable, Equatable, ExpressibleByStringInterpolation {
    /// The markup.
    public private(set) var source: String

    /// Markup that stands in the source.
    public init(stringLiteral value: String) {
        source = value
    }

    /// Markup that stands in the source, with values in it.
    public init(stringInterpolation: StringInterpolation) {
        source = stringInterpolation.source
    }

    /// Appends a piece.
    public static func += (left: inout HTML, right: HTML) {
        left.source += right.source
    }

    /// Collects the parts of a literal.
    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var source: String

        /// Begins empty.
        public init(literalCapacity: Int, interpolationCount: Int) {
            source = ""
            source.reserveCapacity(literalCapacity + 16 * interpolationCount)
        }

        /// Takes markup as it is.
        public mutating func appendLiteral(_ literal: String) {
            source += literal
        }

        /// Takes a piece of HTML as it is.
        public mutating func appendInterpolation(_ html: HTML) {
            source += html.source
        }

        /// Takes text, escaped.
        public mutating func appendInterpolation(_ text: String) {
            for scalar in text.unicodeScalars {
                switch scalar {
                case "&": source += "&amp;"
                case "<": source += "&lt;"
                case ">": source += "&gt;"
                case "\"": source += "&quot;"
                case "'": source += "&#39;"
                case "\n", "\t": source.unicodeScalars.append(scalar)
                case _ where scalar.isInvisible: source += "\u{fffd}"
                default: source.unicodeScalars.append(scalar)
                }
            }
        }

        /// Takes a number.
        public mutating func appendInterpolation(_ number: some BinaryInteger) {
            source += String(number)
        }
    }
}

extension Unicode.Scalar {
    /// Whether a text can trick a reader or a terminal with it: controls, and changes of direction.
    var isInvisible: Bool {
        switch value {
        case 0..<0x20, 0x7f..<0xa0, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f, 0xfeff: true
        default: false
        }
    }
}
