import BerthQAPI
import BerthStream
import BerthWire

extension ImageInspection {
    /// What was found, for a terminal.
    ///
    /// - Parameter hasFields: whether the devices' fields are told, and not only how many bytes
    ///   they have.
    public func text(hasFields: Bool) -> String {
        let report = report(hasFields: false)
        let facts = ImageFacts(report)
        var lines = ["\(image.path): \(facts.kind)"]
        let rows = report.content == .empty ? [] : facts.rows
        lines += Self.aligned(rows)
        if report.libvirt != nil {
            lines += ["", "libvirt's header:"] + Self.aligned(facts.libvirtRows)
        }
        if !report.blocks.isEmpty {
            lines += ["", "blocks:"] + blockLines(report)
        }
        if let list = report.devices {
            lines += ["", "devices:"]
            lines += hasFields ? devices.flatMap(Self.tree) : deviceLines(list)
        }
        lines = lines.map { printable($0) }
        if let libvirt = report.libvirt {
            lines += Self.document("domain XML", libvirt.xml)
            lines += Self.document("cookie", libvirt.cookie ?? "")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func aligned(_ rows: [(name: String, value: String)]) -> [String] {
        let width = (rows.map(\.name.count).max() ?? 0) + 1
        return rows.map { row in
            let name = "\(row.name):"
            let blanks = String(repeating: " ", count: width - name.count)
            return "  \(name)\(blanks) \(row.value)"
        }
    }

    private func blockLines(_ report: ImageReport) -> [String] {
        let hasOffsets = report.blocks.contains { $0.pagesOffset != nil }
        let hasAddresses = report.blocks.contains { $0.guestAddress != nil }
        var table = TextTable(
            "name",
            ">size",
            ">pages",
            ">data",
            ">zero",
            ">absent",
            ">repeated",
            hasOffsets ? ">first page at" : "",
            hasAddresses ? ">guest address" : ""
        )
        for block in report.blocks {
            table.add(
                block.name,
                byteText(block.size),
                grouped(block.pages.total),
                grouped(block.pages.data),
                grouped(block.pages.zero),
                grouped(block.pages.absent),
                grouped(block.pages.repeated),
                block.pagesOffset.map { hexadecimal($0) } ?? "",
                block.guestAddress.map { hexadecimal($0) } ?? ""
            )
        }
        return table.lines
    }

    private func deviceLines(_ devices: [ImageDevice]) -> [String] {
        var table = TextTable("name", ">instance", ">version", ">bytes", ">at", "")
        for device in devices {
            table.add(
                device.name + (device.part == .full ? "" : " (\(device.part.rawValue))"),
                "\(device.instance)",
                "\(device.version)",
                grouped(device.size),
                hexadecimal(device.offset),
                device.problem.map { "not decoded: \($0)" } ?? ""
            )
        }
        return table.lines
    }

    /// A device with all its fields.
    private static func tree(_ device: DecodedDevice) -> [String] {
        let part = device.kind == .full ? "" : " (\(device.kind))"
        var lines = [
            "  \(device.name)/\(device.instance)\(part), version \(device.version), "
                + "\(grouped(device.byteCount)) bytes"
        ]
        if let problem = device.problem {
            lines.append("    not decoded: \(problem)")
        }
        append(device.fields, device.subsections, indentedBy: 4, to: &lines)
        return lines
    }

    private static func append(
        _ fields: [DeviceField],
        _ subsections: [DeviceStructure],
        indentedBy depth: Int,
        to lines: inout [String]
    ) {
        let blanks = String(repeating: " ", count: depth)
        for field in fields {
            let name = DeviceFieldText.name(field)
            switch field.value {
            case .structure(let inner):
                lines.append("\(blanks)\(name):")
                append(inner.fields, inner.subsections, indentedBy: depth + 2, to: &lines)
            case .structures(let elements):
                if elements.isEmpty {
                    lines.append("\(blanks)\(name): none")
                }
                for (index, element) in elements.enumerated() {
                    lines.append("\(blanks)\(name)[\(index)]:")
                    append(element.fields, element.subsections, indentedBy: depth + 2, to: &lines)
                }
            default:
                let value = DeviceFieldText.value(field) ?? ""
                lines.append("\(blanks)\(name) (\(DeviceFieldText.type(field))): \(value)")
            }
        }
        for subsection in subsections {
            lines.append("\(blanks)subsection \(subsection.name), version \(subsection.version):")
            append(subsection.fields, subsection.subsections, indentedBy: depth + 2, to: &lines)
        }
    }

    private static func document(_ name: String, _ text: String) -> [String] {
        guard !text.isEmpty else { return [] }
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        return ["", "\(name):"]
            + lines.map { $0.isEmpty ? "" : "  " + printable(String($0), keepsLines: true) }
    }
}
