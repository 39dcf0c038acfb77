extension SwiftEmitter {
    private func argumentsType(_ entity: Entity, _ command: Command) -> String? {
        switch command.arguments {
        case .none: nil
        case .members: SwiftName.type(entity.name) + "Arguments"
        case .type(let name): name
        }
    }

    func commandFile() -> String {
        var text = SwiftText(imports: ["public import BerthJSON"])
        text.line()
        text.documentation(["A command with its arguments, which have been checked."])
        text.block("public enum QMPCommand: Sendable, Equatable") { text in
            for (entity, command) in schema.commands {
                text.documentation(
                    Array(entity.documentation.body.prefix(1)) + ["QMP: `\(entity.name)`."]
                )
                let arguments = argumentsType(entity, command).map { "(\($0))" } ?? ""
                text.line("case \(SwiftName.member(entity.name))\(arguments)")
            }
            text.line()
            text.documentation(["The command's name in QMP."])
            text.block("public var name: String") { text in
                text.line("switch self {")
                for (entity, _) in schema.commands {
                    text.line("case .\(SwiftName.member(entity.name)): \(quoted(entity.name))")
                }
                text.line("}")
            }
            text.line()
            text.documentation([
                "Finds the command and checks its arguments.",
                "- Throws: `commandNotFound`, or what is wrong with the first wrong argument in "
                    + "the schema's order.",
            ])
            text.line("public static func decode(")
            text.line("    name: String,")
            text.line("    arguments: JSONObject")
            text.block(") throws(QMPError) -> QMPCommand") { text in
                text.line("var reader = ObjectReader(arguments)")
                text.line("let command: QMPCommand")
                text.line("switch name {")
                for (entity, command) in schema.commands {
                    let name = SwiftName.member(entity.name)
                    if let type = argumentsType(entity, command) {
                        text.line("case \(quoted(entity.name)):")
                        text.line("    command = .\(name)(try \(type)(reading: &reader))")
                    } else {
                        text.line("case \(quoted(entity.name)): command = .\(name)")
                    }
                }
                text.line("default: throw .commandNotFound(name)")
                text.line("}")
                text.line("try reader.finish()")
                text.line("return command")
            }
        }
        return text.text
    }

    func eventFile() -> String {
        var text = SwiftText(imports: ["public import BerthJSON"])
        text.line()
        text.documentation(["An event with its data."])
        text.block("public enum QMPEvent: Sendable, Equatable") { text in
            for (entity, event) in schema.events {
                text.documentation(entity.documentation.body + ["QMP: `\(entity.name)`."])
                let data = event.data.map { "\(SwiftName.member($0.name)): \(swiftType($0))" }
                let list = data.isEmpty ? "" : "(\(data.joined(separator: ", ")))"
                text.line("case \(SwiftName.member(entity.name))\(list)")
            }
            text.line()
            text.documentation(["The event's name in QMP."])
            text.block("public var name: String") { text in
                text.line("switch self {")
                for (entity, _) in schema.events {
                    text.line("case .\(SwiftName.member(entity.name)): \(quoted(entity.name))")
                }
                text.line("}")
            }
            text.line()
            text.documentation(["What the event says; nil if its name says it all."])
            text.block("public var data: JSONObject?") { text in
                text.line("switch self {")
                for (entity, event) in schema.events {
                    let name = SwiftName.member(entity.name)
                    guard !event.data.isEmpty else {
                        text.line("case .\(name):")
                        text.line("    return nil")
                        continue
                    }
                    let bindings = event.data.map { "let \(SwiftName.member($0.name))" }
                    text.line("case .\(name)(\(bindings.joined(separator: ", "))):")
                    text.line("    var object = JSONObject()")
                    for member in event.data {
                        let value = SwiftName.member(member.name)
                        text.line("    object[\(quoted(member.name))] = \(value).toJSON()")
                    }
                    text.line("    return object")
                }
                text.line("}")
            }
        }
        return text.text
    }

    func commandTableFile() -> String {
        var text = SwiftText(imports: [])
        text.line()
        text.block("extension QMPSchema") { text in
            text.documentation(["All commands, in the schema's order."])
            text.line("public static let commands: [CommandInfo] = [")
            for (entity, command) in schema.commands {
                var parts = ["name: \(quoted(entity.name))"]
                if command.allowsOOB { parts.append("allowsOOB: true") }
                if command.allowsPreconfig { parts.append("allowsPreconfig: true") }
                if let states = command.runStates {
                    let list = states.map { "." + SwiftName.member($0) }.joined(separator: ", ")
                    parts.append("permittedRunStates: [\(list)]")
                }
                if !entity.features.isEmpty {
                    let list = entity.features.map(quoted).joined(separator: ", ")
                    parts.append("features: [\(list)]")
                }
                text.line("    CommandInfo(\(parts.joined(separator: ", "))),")
            }
            text.line("]")
        }
        return text.text
    }
}
