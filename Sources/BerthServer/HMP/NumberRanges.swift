/// Lists of numbers as QEMU writes them: `0-2,5`.
enum NumberRanges {
    /// Writes the numbers, sorted and each once.
    static func text<Number: FixedWidthInteger>(_ numbers: [Number]) -> String {
        var ranges: [ClosedRange<Number>] = []
        for number in Set(numbers).sorted() {
            if let last = ranges.last, last.upperBound &+ 1 == number {
                ranges[ranges.count - 1] = last.lowerBound...number
            } else {
                ranges.append(number...number)
            }
        }
        return ranges.map { range in
            range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
        }.joined(separator: ",")
    }
}
