/// Writes the Swift types.
struct SwiftEmitter {
    let schema: Schema
    /// Types that Swift has a use for.
    let generated: Set<String>

    /// Files to be written: name and text.
    func files() -> [(name: String, text: String)] {
        var files = typeFiles()
        files.append(("QMPCommand.swift", commandFile()))
        files.append(("QMPEvent.swift", eventFile()))
        files.append(("QMPSchema+Commands.swift", commandTableFile()))
        return files
    }

    /// The files of types alone.
    func typeFiles() -> [(name: String, text: String)] {
        schema.modules.compactMap { module in
            moduleFile(module).map { (fileName(module), $0) }
        }
    }

    private func fileName(_ module: Schema.Module) -> String {
        SwiftName.type(module.name) + "Types.swift"
    }

    private func moduleFile(_ module: Schema.Module) -> String? {
        var text = SwiftText(imports: ["public import BerthJSON"])
        var isEmpty = true
        for entity in module.entities {
            switch entity.kind {
            case .command(let command):
                guard case .members(let members) = command.arguments else { continue }
                text.line()
                argumentsStructure(entity, members, &text)
            default:
                guard generated.contains(entity.name) else { continue }
                text.line()
                type(entity, &text)
            }
            isEmpty = false
        }
        return isEmpty ? nil : text.text
    }

    private func type(_ entity: Entity, _ text: inout SwiftText) {
        switch entity.kind {
        case .enumeration(let values): enumeration(entity, values, &text)
        case .structure(let value):
            structure(entity.name, entity, value.members, &text)
            if value.overlayOf == nil, let base = value.base { self.base(entity, base, &text) }
            if value.overlayOf != nil { rangeCheck(entity.name, value.members, &text) }
            if let overlay = overlay(of: entity.name) {
                settings(entity, value, overlay, &text)
            }
        case .union(let union):
            if union.commonMembers.isEmpty {
                plainUnion(entity, union, &text)
            } else {
                taggedUnion(entity, union, &text)
            }
        case .alternate(let branches): alternate(entity, branches, &text)
        case .command, .event: break
        }
    }

    private func overlay(of name: String) -> Entity? {
        schema.entities.first { entity in
            if case .structure(let value) = entity.kind { value.overlayOf == name } else { false }
        }
    }

    /// The Swift spelling of a type.
    func swiftType(_ type: TypeReference) -> String {
        switch type {
        case .array(let element): return "[\(swiftType(element))]"
        case .named(let name): return name
        case .builtin(let builtin):
            switch builtin {
            case .str: return "String"
            case .bool: return "Bool"
            case .int: return "Int64"
            case .uint8: return "UInt8"
            case .uint16: return "UInt16"
            case .uint32: return "UInt32"
            case .uint64, .size: return "UInt64"
            case .number: return "Double"
            case .null: return "JSONValue"
            case .any: return "JSONValue"
            }
        }
    }

    /// The Swift type of a member: optional where its absence has no meaning of its own.
    func swiftType(_ member: Member) -> String {
        let type = swiftType(member.type)
        return member.isOptional && member.defaultValue == nil ? type + "?" : type
    }

    /// A default as a Swift expression.
    func swiftValue(_ value: Literal, _ type: TypeReference) -> String {
        switch value {
        case .string(let text):
            if case .named = type { return "." + SwiftName.member(text) }
            return quoted(text)
        case .boolean(let flag): return String(flag)
        case .integer(let number): return String(number)
        case .array, .object: return "nil"
        }
    }

    /// What a member's description says in full: its text, default, range and unit.
    func documentation(_ member: Member) -> [String] {
        var facts: [String] = []
        if let unit = member.unit { facts.append("in \(unit)") }
        if let value = member.defaultValue { facts.append("default `\(plain(value))`") }
        if let minimum = member.minimum, let maximum = member.maximum {
            facts.append("\(minimum) to \(maximum)")
        } else if let minimum = member.minimum {
            facts.append("at least \(minimum)")
        }
        let origin =
            "QAPI: `\(member.name)`"
            + (facts.isEmpty ? "." : ", " + facts.joined(separator: ", ") + ".")
        return [sentence(member.text), origin]
    }

    private func plain(_ value: Literal) -> String {
        switch value {
        case .string(let text): text.isEmpty ? "\"\"" : text
        case .boolean(let flag): String(flag)
        case .integer(let number): String(number)
        case .array, .object: "?"
        }
    }
}
