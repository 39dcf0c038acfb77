extension SwiftEmitter {
    func enumeration(_ entity: Entity, _ values: [EnumValue], _ text: inout SwiftText) {
        text.documentation(entity.documentation.body + ["QAPI: `\(entity.name)`."])
        text.block("public enum \(entity.name): String, QAPIEnumeration") { text in
            for value in values where value.aliasOf == nil {
                text.documentation([sentence(value.text)])
                text.line("case \(SwiftName.member(value.name)) = \(quoted(value.name))")
            }
            let aliases = values.filter { $0.aliasOf != nil }
            guard !aliases.isEmpty else { return }
            text.line()
            text.documentation(["Other names that are accepted, and what they mean."])
            text.block("public static var aliases: [String: \(entity.name)]") { text in
                text.line("[")
                for alias in aliases {
                    let target = SwiftName.member(alias.aliasOf ?? "")
                    text.line("    \(quoted(alias.name)): .\(target),")
                }
                text.line("]")
            }
        }
    }

    func argumentsStructure(_ entity: Entity, _ members: [Member], _ text: inout SwiftText) {
        structure(
            SwiftName.type(entity.name) + "Arguments",
            entity,
            members,
            &text,
            summary: ["Arguments of `\(entity.name)`."]
        )
    }

    func structure(
        _ name: String,
        _ entity: Entity,
        _ members: [Member],
        _ text: inout SwiftText,
        summary: [String]? = nil
    ) {
        text.documentation(summary ?? entity.documentation.body + ["QAPI: `\(entity.name)`."])
        text.block("public struct \(name): QAPIObject") { text in
            for member in members {
                text.documentation(documentation(member))
                text.line("public var \(SwiftName.member(member.name)): \(swiftType(member))")
            }
            text.line()
            memberwiseInitializer(members, &text)
            text.line()
            text.documentation(["Takes the members out of an object, in the schema's order."])
            text.block("public init(reading reader: inout ObjectReader) throws(QMPError)") { text in
                for member in members { readMember(member, &text) }
            }
            text.line()
            writer(members, &text)
        }
    }

    private func memberwiseInitializer(_ members: [Member], _ text: inout SwiftText) {
        text.documentation(["Makes a value of its members."])
        text.line("public init(")
        for (number, member) in members.enumerated() {
            let separator = number == members.count - 1 ? "" : ","
            var initial = ""
            if let value = member.defaultValue {
                initial = " = " + swiftValue(value, member.type)
            } else if member.isOptional {
                initial = " = nil"
            }
            let name = SwiftName.member(member.name)
            text.line("    \(name): \(swiftType(member))\(initial)\(separator)")
        }
        text.block(")") { text in
            for member in members {
                let name = SwiftName.member(member.name)
                text.line("self.\(name) = \(name)")
            }
        }
    }

    func readMember(_ member: Member, _ text: inout SwiftText) {
        let name = SwiftName.member(member.name)
        let size = member.type == .builtin(.size) ? "Size" : ""
        let call = member.isOptional ? "optional\(size)" : "required\(size)"
        var fallback = ""
        if let value = member.defaultValue { fallback = " ?? " + swiftValue(value, member.type) }
        text.line("\(name) = try reader.\(call)(\(quoted(member.name)))\(fallback)")
    }

    private func writer(_ members: [Member], _ text: inout SwiftText) {
        text.documentation(["Adds the members to an object; what is nil is left out."])
        text.block("public func write(to object: inout JSONObject)") { text in
            for member in members { writeMember(member, &text) }
        }
    }

    func writeMember(_ member: Member, _ text: inout SwiftText) {
        let name = SwiftName.member(member.name)
        let key = quoted(member.name)
        if member.isOptional && member.defaultValue == nil {
            text.line("if let \(name) { object[\(key)] = \(name).toJSON() }")
        } else {
            text.line("object[\(key)] = \(name).toJSON()")
        }
    }

    /// A view of a struct as the one that it is derived from.
    func base(_ entity: Entity, _ base: String, _ text: inout SwiftText) {
        guard case .structure(let parent)? = schema.entity(base)?.kind else { return }
        text.line()
        text.block("extension \(entity.name)") { text in
            text.documentation(["The members that it has in common with others."])
            text.block("public var base: \(base)") { text in
                text.line("\(base)(")
                for (number, member) in parent.members.enumerated() {
                    let name = SwiftName.member(member.name)
                    let separator = number == parent.members.count - 1 ? "" : ","
                    text.line("    \(name): \(name)\(separator)")
                }
                text.line(")")
            }
        }
    }

    func alternate(_ entity: Entity, _ branches: [Branch], _ text: inout SwiftText) {
        text.documentation(entity.documentation.body + ["QAPI: `\(entity.name)`."])
        text.block("public enum \(entity.name): QAPIValue") { text in
            for branch in branches {
                let name = SwiftName.member(branch.name)
                text.documentation([sentence(entity.documentation.member(branch.name) ?? "")])
                let isNull = branch.type == .builtin(.null)
                text.line("case \(name)" + (isNull ? "" : "(\(swiftType(branch.type)))"))
            }
            text.line()
            text.documentation(["Chooses the case by the value's JSON type."])
            text.line("public static func decode(")
            text.line("    _ value: JSONValue,")
            text.line("    at place: ArgumentPlace")
            text.block(") throws(QMPError) -> \(entity.name)") { text in
                text.line("switch value {")
                for branch in branches {
                    let name = SwiftName.member(branch.name)
                    switch branch.type {
                    case .builtin(.null): text.line("case .null: return .\(name)")
                    case .builtin(.str): text.line("case .string(let text): return .\(name)(text)")
                    case .builtin(.bool): text.line("case .bool(let flag): return .\(name)(flag)")
                    case .builtin:
                        text.line("case .integer, .unsigned, .double:")
                        text.line("    return .\(name)(try .decode(value, at: place))")
                    case .array:
                        text.line("case .array: return .\(name)(try .decode(value, at: place))")
                    case .named:
                        text.line("case .object: return .\(name)(try .decode(value, at: place))")
                    }
                }
                text.line("default: throw place.wrongType(expected: \(quoted(entity.name)))")
                text.line("}")
            }
            text.line()
            text.documentation(["The value as JSON."])
            text.block("public func toJSON() -> JSONValue") { text in
                text.line("switch self {")
                for branch in branches {
                    let name = SwiftName.member(branch.name)
                    if branch.type == .builtin(.null) {
                        text.line("case .\(name): .null")
                    } else {
                        text.line("case .\(name)(let value): value.toJSON()")
                    }
                }
                text.line("}")
            }
        }
    }
}
