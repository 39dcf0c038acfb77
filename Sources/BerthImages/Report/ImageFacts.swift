import BerthQAPI

/// What there is to say of an image in a line each, for people.
struct ImageFacts {
    /// What the file is, in a phrase.
    let kind: String
    /// Names and values, in order.
    let rows: [(name: String, value: String)]
    /// The same of libvirt's header; empty without one.
    let libvirtRows: [(name: String, value: String)]

    init(_ report: ImageReport) {
        kind = Self.kind(report)
        rows = Self.rows(report)
        libvirtRows = report.libvirt.map { Self.rows($0, report) } ?? []
    }

    private static func kind(_ report: ImageReport) -> String {
        let stream = report.layout.map { "\($0.rawValue) stream" } ?? "stream"
        let compression = report.compression.map { ", compressed with \($0.rawValue)" } ?? ""
        switch report.content {
        case .stream: return "saved guest: \(stream)"
        case .compressedStream:
            return report.layout == nil
                ? "something compressed with \(report.compression?.rawValue ?? "a program")"
                : "saved guest: \(stream)\(compression)"
        case .libvirt:
            let form = report.libvirt?.formatName.map { " (\($0))" } ?? ""
            return "libvirt save file\(form)"
                + (report.layout == nil ? "" : ": \(stream)\(compression)")
        case .cutOff:
            return "begun save of Berth in the layout mapped-ram, without its header"
        case .foreign: return "\(report.description ?? "something else"), not a saved guest of QEMU"
        case .unknown: return "nothing known, not a saved guest"
        case .empty: return "empty, not a saved guest"
        }
    }

    private static func rows(_ report: ImageReport) -> [(name: String, value: String)] {
        var rows = [
            ("file size", sizeText(report.size)),
            ("disk size", sizeText(report.diskSize)),
        ]
        func add(_ name: String, _ value: String?) {
            if let value { rows.append((name, value)) }
        }
        add("machine", report.machine)
        add("UUID", report.uuid)
        add("run state", report.runState)
        add("page size", report.pageBits.flatMap { $0 < 40 ? sizeText(1 << UInt64($0)) : nil })
        if let capabilities = report.capabilities, !capabilities.isEmpty {
            add("capabilities", capabilities.joined(separator: ", "))
        }
        if let pages = report.pages {
            let size = report.blocks.reduce(0) { $0 + $1.size }
            let count = report.blocks.count
            add("RAM", "\(sizeText(size)) in \(count) \(count == 1 ? "block" : "blocks")")
            add("pages", Self.pages(pages))
        }
        if let end = report.streamEnd {
            add(
                report.compression == nil ? "stream" : "stream, unpacked",
                place(report.compression == nil ? report.streamOffset : 0, end)
            )
        } else if report.streamOffset > 0 {
            add("stream", "from \(hexadecimal(report.streamOffset))")
        }
        if let devices = report.devices {
            let size = devices.reduce(0) { $0 + $1.size }
            let count = devices.count
            add("devices", "\(count) \(count == 1 ? "section" : "sections"), \(sizeText(size))")
        }
        if let seal = report.seal {
            add("seal", "\(seal.algorithm), \(place(seal.offset, seal.offset + seal.size))")
        }
        add("seal", report.cutOffSeal.map { "cut off, from \(hexadecimal($0)) on" })
        add("trailing", report.trailing.map { "\(sizeText($0)) behind the stream" })
        return rows
    }

    private static func rows(
        _ libvirt: ImageLibvirt,
        _ report: ImageReport
    ) -> [(name: String, value: String)] {
        let name = libvirt.formatName.map { " (\($0))" } ?? ", which libvirt 11.3 doesn't know"
        var rows = [
            ("marked as", libvirt.complete ? "complete" : "unfinished: libvirt refuses it"),
            ("version", "\(libvirt.version)"),
            ("format", "\(libvirt.format)\(name)"),
            ("after restore", libvirt.wasRunning ? "running" : "paused"),
            ("XML and cookie", "\(sizeText(UInt64(libvirt.dataSize))), padding included"),
        ]
        if libvirt.byteSwapped {
            rows.append(("byte order", "not this host's"))
        }
        if libvirt.cookieOffset > 0 {
            rows.append(("cookie at", hexadecimal(92 + UInt64(libvirt.cookieOffset))))
        }
        return rows
    }

    /// All pages by fate, without fates that none has.
    static func pages(_ pages: ImagePageCounts) -> String {
        var parts = ["\(grouped(pages.data)) data (\(percentText(pages.data, of: pages.total)))"]
        for (count, name) in [(pages.zero, "zero"), (pages.absent, "absent")] where count > 0 {
            parts.append("\(grouped(count)) \(name)")
        }
        if pages.repeated > 0 {
            parts.append("\(grouped(pages.repeated)) repeated")
        }
        return "\(grouped(pages.total)): \(parts.joined(separator: ", "))"
    }

    private static func place(_ start: UInt64, _ end: UInt64) -> String {
        "\(hexadecimal(start)) to \(hexadecimal(end)) (\(byteText(end &- start)))"
    }

    private static func sizeText(_ byteCount: UInt64) -> String {
        byteCount < 1024
            ? "\(byteCount) bytes" : "\(byteText(byteCount)) (\(grouped(byteCount)) bytes)"
    }
}

/// A share in percent; a share that isn't nothing is never shown as 0 %.
func percentText(_ part: UInt64, of whole: UInt64) -> String {
    guard part > 0, whole > 0 else { return "0 %" }
    let share = Double(part) / Double(whole) * 100
    return share < 1 ? "< 1 %" : "\(Int(share)) %"
}
