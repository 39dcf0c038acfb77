/// Checks what can be checked only when everything has been read.
struct SchemaChecker {
    let schema: Schema

    /// - Returns: names of the types that commands, events and reports lead to, and of those that Swift
    ///   types are needed for.
    func check() throws(SchemaError) -> (used: Set<String>, generated: Set<String>) {
        var used: Set<String> = []
        var generated: Set<String> = []
        for (entity, command) in schema.commands {
            let arguments = types(of: command.arguments)
            let returns = command.returns.map { [$0] } ?? []
            for type in arguments + returns { try visit(type, from: entity, &used) }
            for type in arguments { try visit(type, from: entity, &generated) }
            if command.isGenerated {
                for type in returns { try visit(type, from: entity, &generated) }
            }
        }
        for (entity, event) in schema.events {
            for member in event.data {
                try visit(member.type, from: entity, &used)
                try visit(member.type, from: entity, &generated)
            }
        }
        for entity in schema.entities where entity.isReport {
            try visit(.named(entity.name), from: entity, &used)
            try visit(.named(entity.name), from: entity, &generated)
        }
        for entity in schema.entities {
            try checkValues(entity)
            switch entity.kind {
            case .command, .event: break
            default:
                guard used.contains(entity.name) else {
                    throw SchemaError(
                        place: entity.place,
                        message: "nothing uses '\(entity.name)'"
                    )
                }
            }
        }
        return (used, generated)
    }

    private func types(of arguments: Arguments) -> [TypeReference] {
        switch arguments {
        case .none: []
        case .members(let members): members.map(\.type)
        case .type(let name): [.named(name)]
        }
    }

    private func visit(
        _ type: TypeReference,
        from user: Entity,
        _ seen: inout Set<String>
    ) throws(SchemaError) {
        switch type {
        case .builtin: return
        case .array(let element): try visit(element, from: user, &seen)
        case .named(let name):
            guard let entity = schema.entity(name) else {
                throw SchemaError(place: user.place, message: "there is no type '\(name)'")
            }
            guard seen.insert(name).inserted else { return }
            switch entity.kind {
            case .enumeration: break
            case .structure(let structure):
                // A base and what an overlay is laid over have Swift types of their own.
                for name in [structure.base, structure.overlayOf].compactMap({ $0 }) {
                    try visit(.named(name), from: entity, &seen)
                }
                for member in structure.members { try visit(member.type, from: entity, &seen) }
            case .union(let union):
                for member in union.base { try visit(member.type, from: entity, &seen) }
                for branch in union.branches { try visit(branch.type, from: entity, &seen) }
            case .alternate(let branches):
                for branch in branches { try visit(branch.type, from: entity, &seen) }
            case .command, .event:
                throw SchemaError(place: user.place, message: "'\(name)' isn't a type")
            }
        }
    }

    private func checkValues(_ entity: Entity) throws(SchemaError) {
        switch entity.kind {
        case .enumeration(let values):
            for value in values {
                guard let target = value.aliasOf else { continue }
                guard values.contains(where: { $0.name == target && $0.aliasOf == nil }) else {
                    throw SchemaError(
                        place: entity.place,
                        message: "'\(value.name)' is an alias of nothing"
                    )
                }
            }
        case .structure(let structure):
            for member in structure.members { try checkBounds(member, entity) }
        case .union(let union):
            try checkUnion(union, entity)
        case .command(let command):
            if case .members(let members) = command.arguments {
                for member in members { try checkBounds(member, entity) }
            }
        case .alternate, .event: break
        }
    }

    private func checkBounds(_ member: Member, _ entity: Entity) throws(SchemaError) {
        func fail(_ message: String) -> SchemaError {
            SchemaError(place: entity.place, message: "'\(member.name)' \(message)")
        }
        let isInteger =
            if case .builtin(let builtin) = member.type { builtin.isInteger } else { false }
        guard isInteger || (member.minimum == nil && member.maximum == nil) else {
            throw fail("has bounds but isn't an integer")
        }
        switch (member.type, member.defaultValue) {
        case (_, nil): break
        case (.builtin(.bool), .boolean), (.builtin(.str), .string): break
        case (.builtin, .integer(let value)) where isInteger:
            guard value >= member.minimum ?? value, value <= member.maximum ?? value else {
                throw fail("has a default out of its bounds")
            }
        case (.named(let name), .string(let value)):
            guard case .enumeration(let values)? = schema.entity(name)?.kind,
                values.contains(where: { $0.name == value && $0.aliasOf == nil })
            else { throw fail("has a default that '\(name)' doesn't have") }
        default: throw fail("has a default of another type")
        }
    }

    private func checkUnion(_ union: Union, _ entity: Entity) throws(SchemaError) {
        guard let tag = union.base.first(where: { $0.name == union.discriminator }),
            case .named(let name) = tag.type,
            case .enumeration(let values)? = schema.entity(name)?.kind
        else {
            throw SchemaError(place: entity.place, message: "the discriminator must be an enum")
        }
        for branch in union.branches where !values.contains(where: { $0.name == branch.name }) {
            throw SchemaError(
                place: entity.place,
                message: "'\(name)' has no value '\(branch.name)'"
            )
        }
        for member in union.base { try checkBounds(member, entity) }
    }
}
