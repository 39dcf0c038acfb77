/// Reads the parts of one declaration.
struct DeclarationReader {
    let expression: SchemaExpression
    let documentation: DocComment

    func members(_ key: String) throws(SchemaError) -> [Member] {
        guard let value = expression.value(key) else { return [] }
        guard case .object(let members) = value else {
            throw expression.error("'\(key)' must be an object")
        }
        return try members.map { (member) throws(SchemaError) in try self.member(member) }
    }

    func enumValues() throws(SchemaError) -> [EnumValue] {
        guard case .array(let elements)? = expression.value("data") else {
            throw expression.error("'data' must be a list")
        }
        return try elements.map { (element) throws(SchemaError) in
            var aliasOf: String?
            var features: [String] = []
            var name: String?
            switch element {
            case .string(let text): name = text
            case .object(let keys):
                for key in keys {
                    switch (key.name, key.value) {
                    case ("name", .string(let text)): name = text
                    case ("alias-of", .string(let text)): aliasOf = text
                    case ("features", let list): features = try expression.strings(list)
                    default: throw expression.error("unknown key '\(key.name)'")
                    }
                }
            default: break
            }
            guard let name else { throw expression.error("expected the name of a value") }
            return EnumValue(
                name: name,
                aliasOf: aliasOf,
                features: features,
                text: try text(of: name)
            )
        }
    }

    func structure(_ schema: Schema) throws(SchemaError) -> Structure {
        let own = try members("data")
        if let target = try expression.text("overlay-of") {
            return try overlay(of: target, replacing: own, schema)
        }
        guard let base = try expression.text("base") else { return Structure(members: own) }
        guard case .structure(let parent)? = schema.entity(base)?.kind else {
            throw expression.error("base '\(base)' isn't a struct declared before")
        }
        return Structure(members: parent.members + own, base: base)
    }

    private func overlay(
        of target: String,
        replacing own: [Member],
        _ schema: Schema
    ) throws(SchemaError) -> Structure {
        guard case .structure(let under)? = schema.entity(target)?.kind else {
            throw expression.error("'\(target)' isn't a struct declared before")
        }
        for member in own where !under.members.contains(where: { $0.name == member.name }) {
            throw expression.error("'\(target)' has no member '\(member.name)'")
        }
        let members = under.members.map { member in
            var new = member
            new.isOptional = true
            new.defaultValue = nil
            if let other = own.first(where: { $0.name == member.name }) { new.type = other.type }
            return new
        }
        return Structure(members: members, overlayOf: target)
    }

    func union() throws(SchemaError) -> Union {
        guard let discriminator = try expression.text("discriminator") else {
            throw expression.error("a union needs a discriminator")
        }
        let base = try members("base")
        guard base.contains(where: { $0.name == discriminator }) else {
            throw expression.error("the base has no member '\(discriminator)'")
        }
        return Union(base: base, discriminator: discriminator, branches: try branches())
    }

    func branches() throws(SchemaError) -> [Branch] {
        guard case .object(let members)? = expression.value("data") else {
            throw expression.error("'data' must be an object")
        }
        return try members.map { (member) throws(SchemaError) in
            Branch(name: member.name, type: try type(member.value))
        }
    }

    func command(_ schema: Schema) throws(SchemaError) -> Command {
        let arguments: Arguments
        if case .string(let name)? = expression.value("data") {
            arguments = .type(name)
        } else {
            let members = try members("data")
            arguments = members.isEmpty ? .none : .members(members)
        }
        var returns: TypeReference?
        if let value = expression.value("returns") { returns = try type(value) }
        return Command(
            arguments: arguments,
            returns: returns,
            allowsOOB: try expression.flag("allow-oob", default: false),
            allowsPreconfig: try expression.flag("allow-preconfig", default: false),
            runStates: try runStates(schema),
            isGenerated: try expression.flag("gen", default: true)
        )
    }

    private func runStates(_ schema: Schema) throws(SchemaError) -> [String]? {
        let permitted = try expression.strings("run-states")
        let forbidden = try expression.strings("not-run-states")
        guard permitted != nil || forbidden != nil else { return nil }
        guard case .enumeration(let values)? = schema.entity("RunState")?.kind else {
            throw expression.error("'RunState' must be declared before")
        }
        let all = values.map(\.name)
        for state in (permitted ?? []) + (forbidden ?? []) where !all.contains(state) {
            throw expression.error("there is no run state '\(state)'")
        }
        return permitted ?? all.filter { !(forbidden ?? []).contains($0) }
    }

    private func member(_ source: LiteralMember) throws(SchemaError) -> Member {
        let isOptional = source.name.hasPrefix("*")
        let name = isOptional ? String(source.name.dropFirst()) : source.name
        // A member that replaces one of an overlay has its description there.
        let text = expression.value("overlay-of") == nil ? try text(of: name) : ""
        guard case .object(let keys) = source.value else {
            return Member(
                name: name,
                type: try type(source.value),
                isOptional: isOptional,
                text: text
            )
        }
        guard let written = keys.first(where: { $0.name == "type" })?.value else {
            throw expression.error("'\(name)' has no type")
        }
        var member = Member(
            name: name,
            type: try type(written),
            isOptional: isOptional,
            text: text
        )
        for key in keys {
            switch (key.name, key.value) {
            case ("type", _): break
            case ("default", let value): member.defaultValue = value
            case ("min", .integer(let number)): member.minimum = number
            case ("max", .integer(let number)): member.maximum = number
            case ("unit", .string(let text)): member.unit = text
            case ("features", let list): member.features = try expression.strings(list)
            default: throw expression.error("unknown key '\(key.name)' of '\(name)'")
            }
        }
        guard member.defaultValue == nil || isOptional else {
            throw expression.error("'\(name)' has a default but isn't optional")
        }
        return member
    }

    private func type(_ value: Literal) throws(SchemaError) -> TypeReference {
        switch value {
        case .string(let name):
            if let builtin = BuiltinType(rawValue: name) { return .builtin(builtin) }
            return .named(name)
        case .array(let elements):
            guard elements.count == 1, let element = elements.first else {
                throw expression.error("a list has one element type")
            }
            return .array(try type(element))
        default:
            throw expression.error("expected a type")
        }
    }

    private func text(of name: String) throws(SchemaError) -> String {
        guard let text = documentation.member(name) else {
            throw expression.error("'\(name)' isn't described")
        }
        return text
    }

    /// Refuses descriptions of what isn't there, and branches or features without one.
    func checkDocumentation(of kind: Entity.Kind) throws(SchemaError) {
        var names: [String] = []
        switch kind {
        case .enumeration(let values): names = values.map(\.name)
        case .structure(let structure):
            if structure.overlayOf == nil { names = structure.members.map(\.name) }
        case .union(let union): names = union.base.map(\.name)
        case .alternate(let branches):
            names = branches.map(\.name)
            for name in names { _ = try text(of: name) }
        case .command(let command):
            if case .members(let members) = command.arguments { names = members.map(\.name) }
            guard (command.returns == nil) == (documentation.returns == nil) else {
                throw expression.error("'Returns:' and 'returns' don't go together")
            }
        case .event(let event): names = event.data.map(\.name)
        }
        for (name, _) in documentation.members where !names.contains(name) {
            throw expression.error("'\(name)' is described but isn't there")
        }
    }
}
