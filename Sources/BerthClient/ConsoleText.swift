/// What a monitor with line editing sends, as its user would see it.
///
/// QEMU's human monitor draws the whole line again after every key, with sequences that move the
/// cursor. Here each line is what would stand on the screen at its end.
struct ConsoleText {
    /// Columns of a line that are kept; a longer one goes on in a further line.
    static let columnLimit = 1 << 16

    private enum Mode {
        case text
        case escape
        case sequence
    }

    /// The lines that have ended.
    private(set) var lines: [String] = []
    /// Whether the cursor was moved by a sequence since the text began.
    private(set) var hasSequences = false
    private var current: [UInt8] = []
    private var column = 0
    private var mode = Mode.text
    private var parameter = 0

    /// The line that hasn't ended.
    var openLine: String { String(decoding: current, as: UTF8.self) }

    /// Takes a byte.
    mutating func take(_ byte: UInt8) {
        switch mode {
        case .text: takeText(byte)
        case .escape:
            parameter = 0
            mode = byte == UInt8(ascii: "[") ? .sequence : .text
        case .sequence:
            if (0x30...0x39).contains(byte) {
                // More columns than any line has are as good as the limit.
                parameter = min(parameter * 10 + Int(byte - 0x30), Self.columnLimit)
            } else if (0x40...0x7E).contains(byte) {
                mode = .text
                perform(byte)
            }
        }
    }

    private mutating func takeText(_ byte: UInt8) {
        switch byte {
        case 0x0A: endLine()
        case 0x0D: column = 0
        case 0x08: column = max(column - 1, 0)
        case 0x1B: mode = .escape
        case 0x09, 0x20...0x7E, 0x80...:
            if column < current.count {
                current[column] = byte
            } else {
                current.append(byte)
            }
            column += 1
            if column >= Self.columnLimit { endLine() }
        default: break
        }
    }

    private mutating func perform(_ final: UInt8) {
        hasSequences = true
        switch final {
        case UInt8(ascii: "D"): column = max(column - max(parameter, 1), 0)
        case UInt8(ascii: "C"): column = min(column + max(parameter, 1), current.count)
        case UInt8(ascii: "K"): current.removeLast(current.count - min(column, current.count))
        default: break
        }
    }

    private mutating func endLine() {
        lines.append(openLine)
        current = []
        column = 0
    }
}
