/// Everything that the schema declares.
struct Schema {
    /// A file, in the order of inclusion.
    struct Module {
        /// File name without directory and extension.
        let name: String
        var entities: [Entity] = []
    }

    var modules: [Module] = []
    private var index: [String: Entity] = [:]

    var entities: [Entity] { modules.flatMap(\.entities) }

    /// The entity of this name, if there is one.
    func entity(_ name: String) -> Entity? { index[name] }

    /// Adds an entity to the last module.
    mutating func add(_ entity: Entity) throws(SchemaError) {
        guard BuiltinType(rawValue: entity.name) == nil, index[entity.name] == nil else {
            throw SchemaError(place: entity.place, message: "'\(entity.name)' exists already")
        }
        index[entity.name] = entity
        modules[modules.count - 1].entities.append(entity)
    }

    var commands: [(entity: Entity, command: Command)] {
        entities.compactMap { entity in
            if case .command(let command) = entity.kind { (entity, command) } else { nil }
        }
    }

    var events: [(entity: Entity, event: Event)] {
        entities.compactMap { entity in
            if case .event(let event) = entity.kind { (entity, event) } else { nil }
        }
    }
}

/// A declaration.
struct Entity {
    enum Kind {
        case enumeration([EnumValue])
        case structure(Structure)
        case union(Union)
        case alternate([Branch])
        case command(Command)
        case event(Event)
    }

    let name: String
    let kind: Kind
    let features: [String]
    let documentation: DocComment
    let place: SourcePlace

    /// Whether a program prints it, so that no other declaration needs to lead to it.
    var isReport: Bool {
        if case .structure = kind { name.hasSuffix("Report") } else { false }
    }
}

/// The types of the protocol itself.
enum BuiltinType: String, CaseIterable {
    case str, bool, int, uint8, uint16, uint32, uint64, size, number, null, any

    var isInteger: Bool {
        switch self {
        case .int, .uint8, .uint16, .uint32, .uint64, .size: true
        default: false
        }
    }
}

/// A type as it is written.
indirect enum TypeReference: Equatable {
    case builtin(BuiltinType)
    case named(String)
    case array(TypeReference)
}

/// A member of an object, or an argument.
struct Member {
    let name: String
    var type: TypeReference
    var isOptional: Bool
    var features: [String] = []
    var defaultValue: Literal?
    var minimum: Int64?
    var maximum: Int64?
    var unit: String?
    /// What the doc comment says of it.
    var text: String
}

/// A value of an enumeration.
struct EnumValue {
    let name: String
    let aliasOf: String?
    let features: [String]
    let text: String
}

/// An object type.
struct Structure {
    /// The members of the base come first.
    var members: [Member]
    /// The struct whose members this one begins with.
    var base: String?
    /// The struct that this one can be laid over.
    var overlayOf: String?
}

/// An object type whose further members depend on one of them.
struct Union {
    let base: [Member]
    let discriminator: String
    let branches: [Branch]

    var commonMembers: [Member] { base.filter { $0.name != discriminator } }
}

/// A case of a union or alternate.
struct Branch {
    let name: String
    let type: TypeReference
}

/// Where the arguments of a command, or the data of an event, are declared.
enum Arguments {
    case none
    case members([Member])
    /// An object type of its own.
    case type(String)
}

/// A command.
struct Command {
    let arguments: Arguments
    let returns: TypeReference?
    let allowsOOB: Bool
    let allowsPreconfig: Bool
    /// Run states in which it is permitted; nil for all.
    let runStates: [String]?
    /// Whether Swift types are made for what it returns.
    let isGenerated: Bool
}

/// An event.
struct Event {
    let data: [Member]
}
