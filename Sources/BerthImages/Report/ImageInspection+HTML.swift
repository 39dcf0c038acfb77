import BerthMemory
import BerthQAPI
import BerthStream

extension ImageInspection {
    /// What was found, as a page for a browser: with maps of RAM, and the devices' fields folded.
    public var page: HTMLPage {
        let report = report(hasFields: false)
        let facts = ImageFacts(report)
        let name = image.path.split(separator: "/").last.map(String.init) ?? image.path
        var body: HTML = "<h1>\(name)</h1>\n<p class=\"muted\">\(facts.kind)</p>\n"
        if let problem {
            let hint: HTML = problem.hint.map { "<br>\($0)" } ?? ""
            body += "<p class=\"problem\">\(problem.description)\(hint)</p>\n"
        }
        body += tiles(report)
        body += Self.table(facts.rows)
        if !census.blocks.isEmpty {
            body += memory(report)
        }
        if let libvirt = report.libvirt {
            body += self.libvirt(libvirt, facts)
        }
        if !devices.isEmpty {
            body += "<h2>Devices</h2>\n"
            for device in devices {
                body += DeviceHTML.device(device)
            }
        }
        return HTMLPage(title: name, body: body)
    }

    private func tiles(_ report: ImageReport) -> HTML {
        var tiles: HTML = ""
        func add(_ name: String, _ value: String, _ note: String) {
            tiles += "<div><dt>\(name)</dt><dd>\(value)<small>\(note)</small></dd></div>\n"
        }
        if let machine = report.machine {
            add("Machine", machine, report.runState.map { "run state \($0)" } ?? "")
        }
        if let pages = report.pages {
            let size = report.blocks.reduce(0) { $0 + $1.size }
            let count = report.blocks.count
            add("RAM", byteText(size), "\(count) \(count == 1 ? "block" : "blocks")")
            let content = byteText(pages.data * UInt64(targetPageByteCount))
            add("Pages with content", percentText(pages.data, of: pages.total), content)
        }
        add("File", byteText(report.size), "\(byteText(report.diskSize)) on disk")
        if let devices = report.devices {
            let size = devices.reduce(0) { $0 + $1.size }
            add("Devices", "\(devices.count)", byteText(size))
        }
        return "<dl class=\"tiles\">\n\(tiles)</dl>\n"
    }

    private static func table(_ rows: [(name: String, value: String)]) -> HTML {
        var lines: HTML = ""
        for row in rows {
            lines += "<tr><th scope=\"row\">\(row.name)</th><td>\(row.value)</td></tr>\n"
        }
        return "<table class=\"facts\"><tbody>\n\(lines)</tbody></table>\n"
    }

    // MARK: Memory

    private static let data = PageMap.Fate(name: "data", color: (44, 125, 204, 255))
    private static let zero = PageMap.Fate(name: "zero", color: (130, 148, 166, 80))
    private static let absent = PageMap.Fate(
        name: "absent: never mentioned",
        color: (226, 145, 40, 190)
    )

    private func memory(_ report: ImageReport) -> HTML {
        var fates = [Self.data, Self.zero]
        if (report.pages?.absent ?? 0) > 0 {
            fates.append(Self.absent)
        }
        var html: HTML = "<h2>Memory</h2>\n"
        html += PageMap.legend(fates)
        html += report.pages.map(Self.bar) ?? ""
        html += blockTable(report)
        // However many blocks there are, all maps together stay within a few megabytes.
        let pixelLimit = min(1 << 18, max(1 << 12, (1 << 20) / census.blocks.count))
        for (census, block) in zip(census.blocks, report.blocks) {
            let map = PageMap(
                pageCount: census.data.pageCount,
                layers: [(Self.data, census.data), (Self.zero, census.zero)],
                rest: Self.absent,
                pixelLimit: pixelLimit
            )
            html += """
                <h3>\(block.name) <small class="muted">\(byteText(block.size)) \u{b7} pages \
                \(ImageFacts.pages(block.pages))</small></h3>

                """
            html += map.figure(name: block.name)
        }
        return html
    }

    private static func bar(_ pages: ImagePageCounts) -> HTML {
        PageMap.bar([
            (data, Int(clamping: pages.data)), (zero, Int(clamping: pages.zero)),
            (absent, Int(clamping: pages.absent)),
        ])
    }

    private func blockTable(_ report: ImageReport) -> HTML {
        let hasOffsets = report.blocks.contains { $0.pagesOffset != nil }
        let hasAddresses = report.blocks.contains { $0.guestAddress != nil }
        var heading: HTML = "<th scope=\"col\">Block</th>"
        var names = ["Size", "Pages", "Data", "Zero", "Absent", "Repeated"]
        names += hasOffsets ? ["First page at"] : []
        names += hasAddresses ? ["Guest address"] : []
        for name in names {
            heading += "<th scope=\"col\" class=\"number\">\(name)</th>"
        }
        var rows: HTML = ""
        for block in report.blocks {
            let pages = block.pages
            var cells = [byteText(block.size)]
            cells += [pages.total, pages.data, pages.zero, pages.absent, pages.repeated].map {
                grouped($0)
            }
            cells += hasOffsets ? [block.pagesOffset.map { hexadecimal($0) } ?? ""] : []
            cells += hasAddresses ? [block.guestAddress.map { hexadecimal($0) } ?? ""] : []
            var row: HTML = "<td>\(block.name)</td>"
            for cell in cells {
                row += "<td class=\"number\">\(cell)</td>"
            }
            rows += "<tr>\(row)</tr>\n"
        }
        return """
            <div class="scroll"><table><thead><tr>\(heading)</tr></thead>
            <tbody>
            \(rows)</tbody></table></div>

            """
    }

    // MARK: libvirt

    private func libvirt(_ libvirt: ImageLibvirt, _ facts: ImageFacts) -> HTML {
        var html: HTML = "<h2>libvirt</h2>\n"
        html += Self.table(facts.libvirtRows)
        for (name, text) in [("Domain XML", libvirt.xml), ("Cookie", libvirt.cookie ?? "")]
        where !text.isEmpty {
            html += "<h3>\(name)</h3>\n<pre>\(text)</pre>\n"
        }
        return html
    }
}
