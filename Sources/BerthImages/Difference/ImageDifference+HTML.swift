import BerthMemory

extension ImageDifference {
    /// What differs, as a page for a browser: with maps of the pages, and the devices' fields folded.
    public var page: HTMLPage {
        let names = [paths.first, paths.second].map {
            $0.split(separator: "/").last.map(String.init) ?? $0
        }
        let title = "\(names[0]) and \(names[1])"
        var body: HTML = """
            <h1>\(title)</h1>
            <p class="muted">\(isSame ? "No difference between" : "Differences between") \
            \(paths.first) (first) and \(paths.second) (second)</p>

            """
        body += tiles
        body += guestTable
        body += memory
        if !devices.isEmpty {
            body += "<h2>Devices that differ</h2>\n"
            for device in devices {
                body += html(device)
            }
        }
        return HTMLPage(title: "\(title): differences", body: body)
    }

    private var tiles: HTML {
        let pageCount = blocks.reduce(0) { $0 + $1.pageCount }
        let differing = differingPageCount
        let size = byteText(UInt64(differing) * UInt64(targetPageByteCount))
        let blockCount = blocks.count { !$0.isSame }
        return """
            <dl class="tiles">
            <div><dt>Pages that differ</dt><dd>\(grouped(differing))\
            <small>of \(grouped(pageCount)), \(size)</small></dd></div>
            <div><dt>Blocks that differ</dt><dd>\(blockCount)\
            <small>of \(blocks.count)</small></dd></div>
            <div><dt>Devices that differ</dt><dd>\(devices.count)</dd></div>
            </dl>

            """
    }

    private var guestTable: HTML {
        guard !properties.isEmpty else { return "" }
        var rows: HTML = ""
        for property in properties {
            rows += """
                <tr><td>\(property.name)</td><td class="value">\(property.first ?? "none")</td>\
                <td class="value">\(property.second ?? "none")</td></tr>

                """
        }
        return """
            <h2>Guest</h2>
            <table><thead><tr><th scope="col">Property</th><th scope="col">First</th>\
            <th scope="col">Second</th></tr></thead>
            <tbody>
            \(rows)</tbody></table>

            """
    }

    // MARK: Memory

    private static let changed = PageMap.Fate(name: "changed", color: (208, 66, 52, 255))
    private static let onlyFirst = PageMap.Fate(name: "only in first", color: (226, 145, 40, 255))
    private static let onlySecond = PageMap.Fate(name: "only in second", color: (108, 80, 178, 255))
    private static let same = PageMap.Fate(name: "the same", color: (36, 113, 184, 110))
    private static let zero = PageMap.Fate(name: "zero in both", color: (130, 148, 166, 50))

    private var memory: HTML {
        guard !blocks.isEmpty else { return "" }
        var html: HTML = "<h2>Memory</h2>\n"
        html += PageMap.legend([
            Self.changed, Self.onlyFirst, Self.onlySecond, Self.same, Self.zero,
        ])
        html += blockTable
        // However many blocks there are, all maps together stay within a few megabytes.
        let pixelLimit = min(1 << 18, max(1 << 12, (1 << 20) / blocks.count))
        for block in blocks where !block.isSame {
            let note: HTML = block.sizeNote.map { ", \($0)" } ?? ""
            let map = PageMap(
                pageCount: block.pageCount,
                layers: [
                    (Self.changed, block.changed), (Self.onlyFirst, block.onlyFirst),
                    (Self.onlySecond, block.onlySecond), (Self.same, block.same),
                ],
                rest: Self.zero,
                pixelLimit: pixelLimit
            )
            html += """
                <h3>\(block.name) <span class="muted">\(grouped(block.differingPageCount)) of \
                \(grouped(block.pageCount)) pages differ\(note)</span></h3>

                """
            html += map.figure(name: block.name)
        }
        return html
    }

    private var blockTable: HTML {
        var rows: HTML = ""
        for block in blocks {
            rows += "<tr><td>\(block.name)</td>"
            for count in [
                block.pageCount, block.differingPageCount, block.changed.count,
                block.onlyFirst.count, block.onlySecond.count, block.same.count,
            ] {
                rows += "<td class=\"number\">\(grouped(count))</td>"
            }
            rows += "</tr>\n"
        }
        var heading: HTML = "<th scope=\"col\">Block</th>"
        for name in ["Pages", "Differ", "Changed", "Only in first", "Only in second", "The same"] {
            heading += "<th scope=\"col\" class=\"number\">\(name)</th>"
        }
        return """
            <div class="scroll"><table><thead><tr>\(heading)</tr></thead>
            <tbody>
            \(rows)</tbody></table></div>

            """
    }

    // MARK: Devices

    private func html(_ device: DeviceDifference) -> HTML {
        let count = device.fields.count + device.omittedFieldCount
        let summary: HTML = """
            \(device.name)<span class="muted">/\(device.instance)\(device.note)</span>\
            <span class="size">\(count == 1 ? "1 field" : "\(grouped(count)) fields")</span>
            """
        guard !device.fields.isEmpty else {
            return "<details class=\"device\"><summary>\(summary)</summary></details>\n"
        }
        var rows: HTML = ""
        for field in device.fields {
            rows += """
                <tr><td>\(field.path)</td><td class="value"><code>\(field.first ?? "none")</code></td>\
                <td class="value"><code>\(field.second ?? "none")</code></td></tr>

                """
        }
        if device.omittedFieldCount > 0 {
            rows += """
                <tr><td colspan="3" class="muted">and \(grouped(device.omittedFieldCount)) more</td></tr>

                """
        }
        return """
            <details class="device"><summary>\(summary)</summary>
            <table><thead><tr><th scope="col">Field</th><th scope="col">First</th>\
            <th scope="col">Second</th></tr></thead>
            <tbody>
            \(rows)</tbody></table></details>

            """
    }
}
