/// The parts of a mapped-ram file that are taken, so that no two blocks share a byte.
///
/// A reader claims, for each block, its bitmap and its pages, and also the pieces of the stream
/// between them. Complexity: a claim is O(n) in the number of claims, which
/// `Limits.ramBlockCount` bounds.
public struct MappedRAMExtents: Sendable {
    /// Disjoint, in ascending order.
    private var taken: [Range<UInt64>] = []

    /// Begins with nothing taken.
    public init() {}

    /// Takes a part of the file; an empty range takes nothing.
    ///
    /// - Parameters:
    ///   - range: bytes of the file.
    ///   - field: what lies there, for the message.
    ///   - streamOffset: where its place was read, for the message.
    /// - Throws: `WireError.invalidValue` if some of it is taken already.
    public mutating func claim(
        _ range: Range<UInt64>,
        _ field: StaticString,
        at streamOffset: UInt64
    ) throws(WireError) {
        guard !range.isEmpty else {
            return
        }
        var low = 0
        var high = taken.count
        while low < high {
            let middle = low + (high - low) / 2
            if taken[middle].upperBound <= range.lowerBound {
                low = middle + 1
            } else {
                high = middle
            }
        }
        if low < taken.count, taken[low].overlaps(range) {
            throw .invalidValue(
                field: field.description,
                offset: streamOffset,
                expected: "a part of the file that nothing else uses",
                found: "\(hexadecimal(range.lowerBound)) to \(hexadecimal(range.upperBound)),"
                    + " taken from \(hexadecimal(taken[low].lowerBound))"
                    + " to \(hexadecimal(taken[low].upperBound))"
            )
        }
        taken.insert(range, at: low)
    }
}
