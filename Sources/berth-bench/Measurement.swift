import BerthMemory
import BerthSystem

/// A row of a table: what was measured, on what, and the values by column.
struct Row {
    let names: [(column: String, value: String)]
    let values: [(column: String, value: Double)]
}

/// Prints rows as a Markdown table, or as JSON if that is wanted.
func report(_ rows: [Row], asJSON: Bool) {
    guard let first = rows.first else { return }
    if asJSON {
        let objects = rows.map { row in
            let members =
                row.names.map { "\"\($0.column)\": \"\($0.value)\"" }
                + row.values.map { "\"\($0.column)\": \($0.value)" }
            return "  { \(members.joined(separator: ", ")) }"
        }
        print("[\n\(objects.joined(separator: ",\n"))\n]")
        return
    }
    let columns = first.names.map(\.column) + first.values.map(\.column)
    print("| \(columns.joined(separator: " | ")) |")
    print("|\(String(repeating: "---|", count: columns.count))")
    for row in rows {
        let cells = row.names.map(\.value) + row.values.map { rounded($0.value) }
        print("| \(cells.joined(separator: " | ")) |")
    }
}

private func rounded(_ value: Double) -> String {
    let scale = abs(value) < 10 ? 100.0 : abs(value) < 100 ? 10 : 1
    let result = (value * scale).rounded() / scale
    return result == result.rounded() ? "\(Int(result))" : "\(result)"
}

/// Milliseconds that `body` takes.
func milliseconds(_ body: () throws -> Void) rethrows -> Double {
    let start = ContinuousClock.now
    try body()
    return start.duration(to: .now) / .milliseconds(1)
}

/// The best of several runs: what the work costs where nothing else gets in between.
func best(of count: Int = 5, _ body: () throws -> Double) rethrows -> Double {
    var result = Double.infinity
    for _ in 0..<count { result = min(result, try body()) }
    return result
}

/// A kind of memory to measure.
enum Kind: String, CaseIterable {
    case anonymous = "anonymous, 4 KiB"
    case huge = "anonymous, huge"
    case memfd = "memfd"
    case hugetlb = "hugetlb"

    /// A block with content in every page; nil where the host has no such memory.
    func makeBlock(byteCount: Int) -> RAMBlock? {
        let block: RAMBlock?
        switch self {
        case .anonymous:
            let mapping = try? MemoryMapping.anonymous(
                byteCount: byteCount,
                options: MemoryMapping.Options(hugePages: false)
            )
            block = mapping.map {
                RAMBlock(id: rawValue, byteCount: byteCount, mapping: $0, isZeroed: true)
            }
        case .huge:
            block = try? RAMBlock(id: rawValue, byteCount: byteCount)
        case .memfd, .hugetlb:
            block = try? RAMBlock(
                MemoryBackend(
                    id: rawValue,
                    kind: self == .memfd ? .memfd : .hugetlb(pageByteCount: nil),
                    byteCount: UInt64(byteCount),
                    isShared: true
                )
            )
        }
        if let block {
            for page in 0..<block.pageCount { write(block, page, 1) }
        } else {
            StandardError.write("no memory of the kind '\(rawValue)' here: left out\n")
        }
        return block
    }
}

/// Writes a page's first word.
@inline(__always)
func write(_ block: RAMBlock, _ page: Int, _ value: UInt64) {
    let address = unsafe block.base + page * targetPageByteCount
    unsafe address.storeBytes(of: value, as: UInt64.self)
}

/// Cheap random numbers (xorshift), so that the writer's cost is its writes.
struct CheapRandom {
    var state: UInt64 = 0x9e37_79b9_7f4a_7c15

    @inline(__always)
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
