internal import BerthJSON
internal import BerthQAPI

extension MigrationParameters {
    /// The order in which QEMU shows them; any others follow in the schema's order.
    private static let order = [
        "announce-initial", "announce-max", "announce-rounds", "announce-step",
        "throttle-trigger-threshold", "cpu-throttle-initial", "cpu-throttle-increment",
        "cpu-throttle-tailslow", "max-cpu-throttle", "tls-creds", "tls-hostname", "max-bandwidth",
        "avail-switchover-bandwidth", "downtime-limit", "x-checkpoint-delay", "multifd-channels",
        "multifd-compression", "zero-page-detection", "xbzrle-cache-size", "max-postcopy-bandwidth",
        "tls-authz", "block-bitmap-mapping", "x-vcpu-dirty-limit-period", "vcpu-dirty-limit",
        "mode", "direct-io",
    ]

    /// What QEMU doesn't show, though QMP has it.
    private static let hidden: Set = [
        "multifd-zlib-level", "multifd-zstd-level", "multifd-qatzip-level",
    ]

    /// All of them as `info migrate_parameters` shows them.
    var hmpText: String {
        let values = toObject()
        let known = Self.settings.map(\.name)
        let others = known.filter { !Self.order.contains($0) && !Self.hidden.contains($0) }
        var text = ""
        for name in Self.order + others {
            guard let setting = Self.settings.first(where: { $0.name == name }) else { continue }
            if setting.kind == .structured {
                text += blockBitmapMapping.map(Self.mappingText) ?? ""
            } else if let value = values[name] {
                text += "\(name): \(setting.hmpText(value))\n"
            }
        }
        return text
    }

    private static func mappingText(_ nodes: [BitmapMigrationNodeAlias]) -> String {
        var text = "block-bitmap-mapping:\n"
        for node in nodes {
            text += "  '\(node.nodeName)' -> '\(node.alias)'\n"
            for bitmap in node.bitmaps {
                text += "    '\(bitmap.name)' -> '\(bitmap.alias)'\n"
            }
        }
        return text
    }
}

extension SettingInfo {
    /// A value with what belongs around it on the human monitor.
    fileprivate func hmpText(_ value: JSONValue) -> String {
        switch value {
        case .bool(let flag): flag.onOff
        case .string(let text): kind == .text ? "'\(text)'" : text
        default: value.serialized() + hmpUnit
        }
    }

    /// The unit after a number, with the blank before it.
    private var hmpUnit: String {
        switch unit {
        // QEMU shows no percent signs, and no unit for this one bandwidth.
        case nil, "%": ""
        case "bytes/s": name == "max-postcopy-bandwidth" ? "" : " bytes/second"
        case let unit?: " \(unit)"
        }
    }
}
