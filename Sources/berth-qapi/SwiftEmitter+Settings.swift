extension SwiftEmitter {
    private func integerLimits(_ type: TypeReference) -> (name: String, isSigned: Bool)? {
        guard case .builtin(let builtin) = type, builtin.isInteger else { return nil }
        return (swiftType(type), builtin == .int)
    }

    /// Whether a member's bounds say more than its type.
    private func isBounded(_ member: Member) -> Bool {
        guard let (_, isSigned) = integerLimits(member.type) else { return false }
        return member.maximum != nil || (member.minimum ?? 0) > 0
            || (isSigned && member.minimum != nil)
    }

    /// Checks of the members' bounds.
    func rangeCheck(_ name: String, _ members: [Member], _ text: inout SwiftText) {
        let bounded = members.filter(isBounded)
        text.line()
        text.block("extension \(name)") { text in
            text.documentation([
                "Checks each member that is there against its bounds.",
                "- Throws: the first that is out of them, in the schema's order.",
            ])
            text.block("public func checkRanges() throws(QMPError)") { text in
                for member in bounded {
                    let lower = member.minimum.map(String.init) ?? "nil"
                    let upper = member.maximum.map(String.init) ?? "nil"
                    let value = SwiftName.member(member.name)
                    text.line(
                        "try checkRange(\(value), \(quoted(member.name)), \(lower), \(upper))"
                    )
                }
            }
        }
    }

    /// The table of a struct's members, and how new values are laid over it.
    func settings(
        _ entity: Entity,
        _ structure: Structure,
        _ overlay: Entity,
        _ text: inout SwiftText
    ) {
        guard case .structure(let upper) = overlay.kind else { return }
        text.line()
        text.block("extension \(entity.name)") { text in
            text.documentation([
                "Replaces what `changes` has.",
                "- Throws: if one of the new values is out of its bounds; nothing is changed then. "
                    + "Rules about several values are not checked here.",
            ])
            text.block("public mutating func apply(_ changes: \(overlay.name)) throws(QMPError)") {
                text in
                text.line("try changes.checkRanges()")
                for (lower, upper) in zip(structure.members, upper.members) {
                    let name = SwiftName.member(lower.name)
                    let value =
                        lower.type == upper.type
                        ? "value" : "\(swiftType(lower.type))(value)"
                    text.line("if let value = changes.\(name) { \(name) = \(value) }")
                }
            }
            text.line()
            text.documentation(["What there is to be set, in the schema's order."])
            text.line("public static let settings: [SettingInfo] = [")
            for member in structure.members {
                text.line("    SettingInfo(")
                text.line("        name: \(quoted(member.name)),")
                text.line("        kind: \(settingKind(member.type)),")
                if let value = member.defaultValue {
                    text.line("        defaultValue: \(jsonValue(value)),")
                }
                if let minimum = member.minimum { text.line("        minimum: \(minimum),") }
                if let maximum = member.maximum { text.line("        maximum: \(maximum),") }
                if let unit = member.unit { text.line("        unit: \(quoted(unit)),") }
                if member.features.contains("unstable") {
                    text.line("        isUnstable: true,")
                }
                text.line("        summary: \(quoted(member.text))")
                text.line("    ),")
            }
            text.line("]")
        }
    }

    private func settingKind(_ type: TypeReference) -> String {
        switch type {
        case .builtin(.bool): return ".boolean"
        case .builtin(.str): return ".text"
        case .builtin(.size): return ".size"
        case .builtin(.uint8): return ".integer(bits: 8)"
        case .builtin(.uint16): return ".integer(bits: 16)"
        case .builtin(.uint32): return ".integer(bits: 32)"
        case .builtin(.uint64): return ".integer(bits: 64)"
        case .named(let name):
            guard case .enumeration(let values)? = schema.entity(name)?.kind else {
                return ".structured"
            }
            let names = values.filter { $0.aliasOf == nil }.map { quoted($0.name) }
            return ".choice([\(names.joined(separator: ", "))])"
        default: return ".structured"
        }
    }

    private func jsonValue(_ value: Literal) -> String {
        switch value {
        case .string(let text): ".string(\(quoted(text)))"
        case .boolean(let flag): ".bool(\(flag))"
        case .integer(let number): ".integer(\(number))"
        case .array, .object: ".null"
        }
    }
}
