/// Rows of text in columns, for a terminal.
struct TextTable {
    /// Column headings; those in `isNumber` are aligned to the right.
    let headings: [String]
    let isNumber: [Bool]
    private var rows: [[String]] = []

    /// - Parameter headings: a heading that begins with `>` is of numbers.
    init(_ headings: String...) {
        isNumber = headings.map { $0.hasPrefix(">") }
        self.headings = headings.map { String($0.drop { $0 == ">" }) }
    }

    mutating func add(_ cells: String...) {
        rows.append(cells)
    }

    /// The lines, each indented.
    var lines: [String] {
        let all = [headings] + rows
        let widths = headings.indices.map { column in
            all.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return all.map { row in
            var line = " "
            for (column, cell) in row.enumerated() {
                let blanks = String(repeating: " ", count: widths[column] - cell.count)
                line += " " + (isNumber[column] ? blanks + cell : cell + blanks) + " "
            }
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
    }
}
