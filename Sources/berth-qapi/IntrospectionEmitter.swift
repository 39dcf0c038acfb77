/// Writes the reply to `query-qmp-schema`.
///
/// Names of types are masked by numbers, given in the order in which the types are met, so that
/// nobody comes to depend on them; all integers are `int`.
struct IntrospectionEmitter {
    private let schema: Schema
    private var numbers: [String: Int] = [:]
    /// Types met but not written yet.
    private var pending: [String] = []
    private var seen: Set<String> = []
    private var entries: [String] = []

    init(_ schema: Schema) {
        self.schema = schema
    }

    /// The reply, as JSON without any blanks that could be left out.
    mutating func json() -> String {
        entries = [object("0", [string("meta-type", "object"), list("members", [])], [])]
        // Arguments that are declared in place are types too, but nobody else has their names.
        var unnamed: [(name: String, members: [Member])] = []
        for (entity, command) in schema.commands {
            var members = [string("meta-type", "command")]
            switch command.arguments {
            case .none: members.append(string("arg-type", "0"))
            case .members(let arguments):
                let name = mask("arguments of \(entity.name)")
                members.append(string("arg-type", name))
                unnamed.append((name, arguments))
            case .type(let name): members.append(string("arg-type", reference(.named(name))))
            }
            members.append(string("ret-type", command.returns.map { reference($0) } ?? "0"))
            if command.allowsOOB { members.append("\"allow-oob\": true") }
            entries.append(object(entity.name, members, entity.features))
        }
        for (entity, event) in schema.events {
            let name = event.data.isEmpty ? "0" : mask("data of \(entity.name)")
            if !event.data.isEmpty { unnamed.append((name, event.data)) }
            entries.append(
                object(
                    entity.name,
                    [string("meta-type", "event"), string("arg-type", name)],
                    entity.features
                )
            )
        }
        for (name, members) in unnamed {
            let list = self.members(members)
            entries.append(object(name, [string("meta-type", "object"), list], []))
        }
        while !pending.isEmpty { write(pending.removeFirst()) }
        return "[" + entries.joined(separator: ", ") + "]"
    }

    private mutating func mask(_ name: String) -> String {
        let number = numbers[name] ?? numbers.count + 1
        numbers[name] = number
        return String(number)
    }

    /// The name by which a type is referred to; sees to it that the type will be written.
    private mutating func reference(_ type: TypeReference) -> String {
        switch type {
        case .builtin(let builtin):
            let name = builtin.isInteger ? "int" : builtin.rawValue
            if seen.insert(name).inserted { writeBuiltin(builtin, name) }
            return name
        case .array(let element):
            let inner = reference(element)
            let name = "[\(inner)]"
            if seen.insert(name).inserted {
                entries.append(
                    object(
                        name,
                        [string("meta-type", "array"), string("element-type", inner)],
                        []
                    )
                )
            }
            return name
        case .named(let name):
            if seen.insert("type " + name).inserted { pending.append(name) }
            return mask(name)
        }
    }

    private mutating func writeBuiltin(_ builtin: BuiltinType, _ name: String) {
        let type =
            switch builtin {
            case .str: "string"
            case .bool: "boolean"
            case .number: "number"
            case .null: "null"
            case .any: "value"
            default: "int"
            }
        entries.append(
            object(name, [string("meta-type", "builtin"), string("json-type", type)], [])
        )
    }

    private mutating func write(_ name: String) {
        guard let entity = schema.entity(name) else { return }
        var parts: [String] = []
        switch entity.kind {
        case .enumeration(let values):
            parts = [
                string("meta-type", "enum"),
                list("members", values.map { object($0.name, [], $0.features) }),
                list("values", values.map { quoted($0.name) }),
            ]
        case .structure(let structure):
            parts = [string("meta-type", "object"), members(structure.members)]
        case .union(let union):
            parts = [
                string("meta-type", "object"),
                members(union.base),
                string("tag", union.discriminator),
                list("variants", variants(union)),
            ]
        case .alternate(let branches):
            var types: [String] = []
            for branch in branches { types.append("{\(string("type", reference(branch.type)))}") }
            parts = [string("meta-type", "alternate"), list("members", types)]
        case .command, .event: return
        }
        entries.append(object(mask(name), parts, entity.features))
    }

    private mutating func members(_ members: [Member]) -> String {
        var items: [String] = []
        for member in members {
            var parts = [string("type", reference(member.type))]
            if member.isOptional { parts.append("\"default\": null") }
            items.append(object(member.name, parts, member.features))
        }
        return list("members", items)
    }

    private mutating func variants(_ union: Union) -> [String] {
        guard let tag = union.base.first(where: { $0.name == union.discriminator }),
            case .named(let name) = tag.type,
            case .enumeration(let values)? = schema.entity(name)?.kind
        else { return [] }
        var variants: [String] = []
        for value in values {
            let branch = union.branches.first { $0.name == value.name }
            let type = branch.map { reference($0.type) } ?? "0"
            variants.append("{\(string("case", value.name)), \(string("type", type))}")
        }
        return variants
    }

    private func object(_ name: String, _ members: [String], _ features: [String]) -> String {
        var parts = [string("name", name)] + members
        if !features.isEmpty { parts.append(list("features", features.map(quoted))) }
        return "{" + parts.joined(separator: ", ") + "}"
    }

    private func string(_ key: String, _ value: String) -> String {
        "\(quoted(key)): \(quoted(value))"
    }

    private func list(_ key: String, _ values: [String]) -> String {
        "\(quoted(key)): [\(values.joined(separator: ", "))]"
    }

    /// The Swift file that holds the reply.
    mutating func file() -> String {
        var text = SwiftText(imports: [])
        text.line()
        text.block("extension QMPSchema") { text in
            text.documentation([
                "The reply to `query-qmp-schema`, as JSON in one line and in the form of QMP's output."
            ])
            text.line("public static let introspectionJSON = #\"\"\"")
            var rest = Substring(json())
            while !rest.isEmpty {
                // Broken between elements, for people who look at differences.
                let limit = rest.index(rest.startIndex, offsetBy: 90, limitedBy: rest.endIndex)
                var end = limit ?? rest.endIndex
                if end < rest.endIndex, let blank = rest[..<end].lastIndex(of: " ") {
                    end = rest.index(after: blank)
                }
                let isLast = end == rest.endIndex
                text.line("    " + rest[..<end] + (isLast ? "" : "\\#"))
                rest = rest[end...]
            }
            text.line("    \"\"\"#")
        }
        return text.text
    }
}
