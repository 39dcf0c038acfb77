import BerthStream
import BerthWire

/// Devices' fields as a folded tree.
enum DeviceHTML {
    /// One device with all its fields.
    static func device(_ device: DecodedDevice) -> HTML {
        let part = device.kind == .full ? "" : " (\(device.kind))"
        let mark: HTML =
            device.problem.map { " <span class=\"mark\">not decoded: \($0)</span>" } ?? ""
        return """
            <details class="device"><summary>\(device.name)\
            <span class="muted">/\(device.instance)\(part), version \(device.version)</span>\(mark)\
            <span class="size number">\(grouped(device.byteCount)) B</span></summary>
            \(content(device.fields, device.subsections))</details>

            """
    }

    /// Fields in the order of the stream: tables, and what is folded between them.
    private static func content(
        _ fields: [DeviceField],
        _ subsections: [DeviceStructure]
    ) -> HTML {
        var html: HTML = ""
        var rows: HTML = ""
        func endTable() {
            if rows != "" {
                html += "<table><tbody>\n\(rows)</tbody></table>\n"
                rows = ""
            }
        }
        for field in fields {
            let name = DeviceFieldText.name(field)
            switch field.value {
            case .structure(let inner):
                endTable()
                html += folded(name, field.type, inner)
            case .structures(let elements) where !elements.isEmpty:
                endTable()
                for (index, element) in elements.enumerated() {
                    html += folded("\(name)[\(index)]", field.type, element)
                }
            default:
                let value = DeviceFieldText.value(field) ?? "none"
                rows += """
                    <tr><td>\(name)</td><td class="muted">\(DeviceFieldText.type(field))</td>\
                    <td class="value"><code>\(value)</code></td></tr>

                    """
            }
        }
        endTable()
        for subsection in subsections {
            html += folded(subsection.name, "subsection, version \(subsection.version)", subsection)
        }
        return html
    }

    private static func folded(_ name: String, _ note: String, _ inner: DeviceStructure) -> HTML {
        """
        <details><summary>\(name) <span class="muted">\(note)</span></summary>
        \(content(inner.fields, inner.subsections))</details>

        """
    }
}
