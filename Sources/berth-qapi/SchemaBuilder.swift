/// Makes a `Schema` of the expressions in the files.
struct SchemaBuilder {
    private(set) var schema = Schema()
    /// Contents of a file, by the name that an `include` gives it.
    private let read: (String) throws -> [UInt8]
    private var included: Set<String> = []

    init(read: @escaping (String) throws -> [UInt8]) {
        self.read = read
    }

    /// Reads a file and what it includes.
    mutating func include(_ file: String) throws {
        guard included.insert(file).inserted else { return }
        var parser = try SchemaParser(read(file), file: file)
        schema.modules.append(Schema.Module(name: String(file.prefix { $0 != "." })))
        for expression in try parser.expressions() {
            if case .string(let name)? = expression.value("include") {
                try include(name)
            } else {
                try schema.add(entity(expression))
            }
        }
    }

    private func entity(_ expression: SchemaExpression) throws(SchemaError) -> Entity {
        let kinds = ["enum", "struct", "union", "alternate", "command", "event"]
        guard let first = expression.members.first, kinds.contains(first.name),
            case .string(let name) = first.value
        else { throw expression.error("expected a declaration") }
        guard let lines = expression.documentation else {
            throw expression.error("'\(name)' has no doc comment")
        }
        let documentation = try DocComment(lines, symbol: name, place: expression.place)
        let reader = DeclarationReader(expression: expression, documentation: documentation)
        let kind: Entity.Kind
        switch first.name {
        case "enum": kind = .enumeration(try reader.enumValues())
        case "struct": kind = .structure(try reader.structure(schema))
        case "union": kind = .union(try reader.union())
        case "alternate": kind = .alternate(try reader.branches())
        case "command": kind = .command(try reader.command(schema))
        default: kind = .event(Event(data: try reader.members("data")))
        }
        try reader.checkDocumentation(of: kind)
        return Entity(
            name: name,
            kind: kind,
            features: try expression.strings("features") ?? [],
            documentation: documentation,
            place: expression.place
        )
    }
}

extension SchemaExpression {
    func value(_ name: String) -> Literal? {
        members.first { $0.name == name }?.value
    }

    func error(_ message: String) -> SchemaError {
        SchemaError(place: place, message: message)
    }

    func strings(_ name: String) throws(SchemaError) -> [String]? {
        guard let value = value(name) else { return nil }
        return try strings(value)
    }

    func strings(_ value: Literal) throws(SchemaError) -> [String] {
        guard case .array(let elements) = value else { throw error("expected a list of strings") }
        return try elements.map { (element) throws(SchemaError) in
            guard case .string(let text) = element else {
                throw error("expected a list of strings")
            }
            return text
        }
    }

    func flag(_ name: String, default absent: Bool) throws(SchemaError) -> Bool {
        guard let value = value(name) else { return absent }
        guard case .boolean(let flag) = value else { throw error("'\(name)' must be a boolean") }
        return flag
    }

    func text(_ name: String) throws(SchemaError) -> String? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw error("'\(name)' must be a string") }
        return text
    }
}
