/// A curve as tall as a line of text.
struct Sparkline {
    /// How a value looks, from the least to the greatest.
    enum Style: Sendable {
        case blocks
        case ascii

        var marks: [Character] {
            switch self {
            case .blocks: Array("▁▂▃▄▅▆▇█")
            case .ascii: Array("_.-=+*#@")
            }
        }
    }

    /// Values that are kept; when there are more, two become one.
    private static let limit = 512

    /// The values, oldest first; each stands for the same time.
    private(set) var values: [Double] = []
    /// How many additions one value stands for, and how many the last one has had.
    private var span = 1
    private var filled = 0

    /// Adds a value of now.
    mutating func add(_ value: Double) {
        if filled < span, !values.isEmpty {
            values[values.count - 1] = max(values[values.count - 1], value)
            filled += 1
            return
        }
        values.append(value)
        filled = 1
        guard values.count == Self.limit else { return }
        values = stride(from: 0, to: values.count, by: 2).map { index in
            values[index..<min(index + 2, values.count)].reduce(0, max)
        }
        span *= 2
        filled = span
    }

    /// Draws all values.
    ///
    /// - Parameters:
    ///   - width: at most so many characters, each the greatest of the values that share it.
    ///   - top: the value that is as tall as can be, unless one is greater.
    func text(width: Int, top: Double, style: Style) -> String {
        let marks = style.marks
        let greatest = max(values.reduce(0, max), top)
        guard width > 0, !values.isEmpty, greatest > 0, greatest.isFinite else { return "" }
        let columns = min(width, values.count)
        return String(
            (0..<columns).map { column in
                let range = column * values.count / columns..<(column + 1) * values.count / columns
                let share = values[range].reduce(0, max) / greatest
                // Rounded up: only nothing looks like nothing.
                let step = (share * Double(marks.count - 1)).rounded(.up)
                return marks[min(max(Int(step), 0), marks.count - 1)]
            }
        )
    }
}
