import BerthMemory
import BerthSystem

/// What finding writes costs, by mechanism and kind of memory, per GiB.
func measureTracking(byteCount: Int) throws -> [Row] {
    var rows: [Row] = []
    for kind in Kind.allCases {
        guard let block = kind.makeBlock(byteCount: byteCount) else { continue }
        for mode in [DirtyTrackingMode.software, .kernel] {
            rows.append(try measureTracking(of: block, kind, mode))
        }
    }
    return rows
}

private func measureTracking(
    of block: RAMBlock,
    _ kind: Kind,
    _ mode: DirtyTrackingMode
) throws -> Row {
    let perGiB = Double(1 << 30) / Double(block.byteCount)
    let marks = mode == .software
    try block.tracking.choose(mode)
    let untracked = nanoseconds(block, stride: 1, marks: false)

    let arm = try best {
        var client: DirtyClient?
        defer { client?.end() }
        return try milliseconds { client = try block.tracking.begin() }
    }
    let client = try block.tracking.begin()
    defer { client.end() }
    var bitmap = PageBitmap(pageCount: block.pageCount)
    let first = nanoseconds(block, stride: 1, marks: marks)
    _ = try client.collect(into: &bitmap)

    var values = [("arm ms", arm * perGiB)]
    for percentage in [0, 1, 10, 50, 100] {
        let cost = try best {
            if percentage > 0 { touch(block, stride: 100 / percentage, marks: marks) }
            bitmap = PageBitmap(pageCount: block.pageCount)
            return try milliseconds { _ = try client.collect(into: &bitmap) }
        }
        values.append(("collect \(percentage) % ms", cost * perGiB))
    }
    values += [("first write ns", first), ("untracked write ns", untracked)]
    return Row(names: [("mechanism", "\(mode)"), ("memory", kind.rawValue)], values: values)
}

private func touch(_ block: RAMBlock, stride step: Int, marks: Bool) {
    for page in stride(from: 0, to: block.pageCount, by: step) {
        write(block, page, 2)
        if marks { block.dirtyLog.mark(page: page) }
    }
}

/// Nanoseconds of a write to each page, in order.
private func nanoseconds(_ block: RAMBlock, stride: Int, marks: Bool) -> Double {
    let time = milliseconds { touch(block, stride: stride, marks: marks) }
    return time * 1e6 / Double(block.pageCount / stride)
}
