import BerthJSON

/// Follows paths through the reply to `query-qmp-schema` as libvirt 11.3 does, so that we see what
/// it would find in ours.
struct SchemaWalker {
    struct Malformed: Error {
        let reason: String
    }

    private var entries: [String: JSONObject] = [:]

    init(_ schema: JSONValue) throws {
        guard case .array(let list) = schema else { throw Malformed(reason: "not a list") }
        for element in list {
            guard case .object(let entry) = element, case .string(let name)? = entry["name"] else {
                throw Malformed(reason: "entry without a name")
            }
            guard entries.updateValue(entry, forKey: name) == nil else {
                throw Malformed(reason: "'\(name)' occurs twice")
            }
        }
    }

    var names: [String] { Array(entries.keys) }

    func entry(_ name: String) throws -> JSONObject {
        guard let entry = entries[name] else { throw Malformed(reason: "no type '\(name)'") }
        return entry
    }

    /// Whether the path leads somewhere.
    func finds(_ path: String) throws -> Bool {
        var parts = path.split(separator: "/").map(String.init)[...]
        let root = parts.removeFirst()
        guard let entry = entries[root] else { return false }
        return try follow(entry, parts)
    }

    private func follow(_ entry: JSONObject, _ parts: ArraySlice<String>) throws -> Bool {
        guard let part = parts.first else { return true }
        let rest = parts.dropFirst()
        switch string(entry, "meta-type") {
        case "command", "event":
            if part.hasPrefix("$") { return rest.isEmpty && has(entry, "features", part) }
            guard let type = string(entry, part) else { return false }
            return try follow(self.entry(type), rest)
        case "object":
            return try object(entry, part, rest)
        case "array":
            return try follow(self.entry(string(entry, "element-type") ?? ""), parts)
        case "alternate":
            for member in objects(entry, "members") {
                if try follow(self.entry(string(member, "type") ?? ""), parts) { return true }
            }
            return false
        case "enum":
            guard part.hasPrefix("^") else { return false }
            guard let value = named(entry, "members", String(part.dropFirst())) else {
                return false
            }
            guard let feature = rest.first else { return true }
            return has(value, "features", feature)
        case "builtin":
            return part.hasPrefix("!") && string(entry, "json-type") == String(part.dropFirst())
        default:
            throw Malformed(reason: "unknown meta-type")
        }
    }

    private func object(
        _ entry: JSONObject,
        _ part: String,
        _ rest: ArraySlice<String>
    ) throws -> Bool {
        if part.hasPrefix("$") { return rest.isEmpty && has(entry, "features", part) }
        if part.hasPrefix("+") {
            let variant = objects(entry, "variants").first {
                string($0, "case") == String(part.dropFirst())
            }
            guard let variant else { return false }
            return try follow(self.entry(string(variant, "type") ?? ""), rest)
        }
        let isOptional = part.hasPrefix("*")
        let name = isOptional ? String(part.dropFirst()) : part
        guard let member = named(entry, "members", name) else { return false }
        if isOptional, member["default"] == nil { return false }
        return try follow(self.entry(string(member, "type") ?? ""), rest)
    }

    private func string(_ object: JSONObject, _ key: String) -> String? {
        if case .string(let text)? = object[key] { text } else { nil }
    }

    func objects(_ object: JSONObject, _ key: String) -> [JSONObject] {
        guard case .array(let list)? = object[key] else { return [] }
        return list.compactMap { if case .object(let object) = $0 { object } else { nil } }
    }

    private func named(_ object: JSONObject, _ key: String, _ name: String) -> JSONObject? {
        objects(object, key).first { string($0, "name") == name }
    }

    private func has(_ object: JSONObject, _ key: String, _ feature: String) -> Bool {
        guard case .array(let list)? = object[key] else { return false }
        return list.contains(.string(String(feature.dropFirst())))
    }
}
