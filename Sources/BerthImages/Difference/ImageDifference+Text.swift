import BerthMemory

extension ImageDifference {
    /// Says what differs, line by line, for a terminal; nothing if nothing does.
    ///
    /// - Parameters:
    ///   - listsPages: whether every range of pages is told, and not only how many pages there are.
    ///   - line: takes each line, without its end.
    public func write(listsPages: Bool, _ line: (String) -> Void) {
        guard !isSame else { return }
        line("'\(printable(paths.first))' and '\(printable(paths.second))' differ")
        if !properties.isEmpty {
            var table = TextTable("Guest", "First", "Second")
            for property in properties {
                table.add(
                    property.name,
                    printable(property.first ?? "-"),
                    printable(property.second ?? "-")
                )
            }
            (["", "Guest:"] + table.lines.dropFirst()).forEach(line)
        }
        writeBlocks(listsPages: listsPages, line)
        if !devices.isEmpty {
            line("")
            line("Devices:")
            for device in devices {
                write(device, line)
            }
        }
    }

    private func writeBlocks(listsPages: Bool, _ line: (String) -> Void) {
        let different = blocks.filter { !$0.isSame }
        guard !different.isEmpty else { return }
        line("")
        line("Memory, in pages:")
        var table = TextTable(
            "Block",
            ">Pages",
            ">Differ",
            ">Changed",
            ">Only in first",
            ">Only in second"
        )
        for block in different {
            table.add(
                printable(block.name),
                grouped(block.pageCount),
                grouped(block.differingPageCount),
                grouped(block.changed.count),
                grouped(block.onlyFirst.count),
                grouped(block.onlySecond.count)
            )
        }
        table.lines.forEach(line)
        for block in different {
            if let note = block.sizeNote {
                line("  '\(printable(block.name))' \(note)")
            }
        }
        guard listsPages else { return }
        line("")
        for block in different {
            let name = printable(block.name)
            block.visitRanges { (pages, change) in
                let start = hexadecimal(pages.lowerBound * targetPageByteCount)
                let end = hexadecimal(pages.upperBound * targetPageByteCount - 1)
                line("  \(name) \(start)-\(end) \(change.text)")
            }
        }
    }

    private func write(_ device: DeviceDifference, _ line: (String) -> Void) {
        line("  \(printable(device.name))/\(device.instance)\(device.note)")
        guard !device.fields.isEmpty else { return }
        var table = TextTable("Field", "First", "Second")
        for field in device.fields {
            table.add(
                printable(field.path),
                printable(field.first ?? "-"),
                printable(field.second ?? "-")
            )
        }
        table.lines.dropFirst().forEach { line("  \($0)") }
        if device.omittedFieldCount > 0 {
            line("    and \(grouped(device.omittedFieldCount)) more fields")
        }
    }
}

extension BlockDifference {
    /// What is to be said of the lengths, if they differ.
    var sizeNote: String? {
        switch byteCounts {
        case (let first?, nil): "is only in the first, \(byteText(UInt64(first)))"
        case (nil, let second?): "is only in the second, \(byteText(UInt64(second)))"
        case (let first?, let second?) where first != second:
            "has \(byteText(UInt64(first))) in the first, \(byteText(UInt64(second))) in the second"
        default: nil
        }
    }
}

extension BlockDifference.Change {
    /// What it means.
    var text: String {
        switch self {
        case .changed: "changed"
        case .onlyFirst: "only in first"
        case .onlySecond: "only in second"
        }
    }
}

extension DeviceDifference {
    /// What differs besides fields; empty if nothing does.
    var note: String {
        guard let first else { return " is only in the second" }
        guard let second else { return " is only in the first" }
        var notes: [String] = []
        if first.version != second.version {
            notes.append("version \(first.version), then \(second.version)")
        }
        if first.byteCount != second.byteCount {
            notes.append("\(grouped(first.byteCount)) bytes, then \(grouped(second.byteCount))")
        }
        return notes.isEmpty ? "" : ": \(notes.joined(separator: "; "))"
    }
}
