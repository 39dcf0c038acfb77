import BerthJSON
import BerthMemory
import BerthMigration
import BerthQAPI

extension Endpoint {
    /// The commands that make, delete and show objects; there are memory backends only.
    func executeObject(_ command: QMPCommand) throws(QMPError) -> JSONValue {
        switch command {
        case .objectAdd(let options):
            guard Self.isIdentifier(options.id) else {
                throw QMPError(
                    "Parameter 'id' expects an identifier",
                    hint: "identifiers consist of letters, digits, '-', '.', '_', starting with a "
                        + "letter"
                )
            }
            try objects.add(MemoryBackend(options))
        case .objectDel(let arguments):
            try objects.remove(arguments.id)
        case .qomList(let arguments):
            return try list(arguments.path).toJSON()
        case .qomGet(let arguments):
            return try property(arguments.property, at: arguments.path)
        case .qomListTypes(let arguments):
            return Self.types(arguments).toJSON()
        default:
            throw QMPError("'\(command.name)' is not an object command")
        }
        return .object([:])
    }

    static func isIdentifier(_ id: String) -> Bool {
        guard let first = id.utf8.first, isLetter(first) else { return false }
        return id.utf8.allSatisfy {
            isLetter($0) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f
        }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (0x41...0x5a).contains(byte & ~0x20)
    }

    // MARK: The object tree

    private func list(_ path: String) throws(QMPError) -> [ObjectPropertyInfo] {
        let parts = path.split(separator: "/").map(String.init)
        switch parts.first {
        case nil:
            return [
                ObjectPropertyInfo(name: "type", type: "string"),
                ObjectPropertyInfo(name: "objects", type: "child<container>"),
                ObjectPropertyInfo(name: "machine", type: "child<machine>"),
            ]
        case "machine" where parts.count == 1:
            return [ObjectPropertyInfo(name: "type", type: "string")]
        case "machine" where parts.count == 2 && parts[1].hasPrefix("peripheral"):
            return [ObjectPropertyInfo(name: "type", type: "string")]
        case "objects" where parts.count == 1:
            return [ObjectPropertyInfo(name: "type", type: "string")]
                + objects.all.map {
                    ObjectPropertyInfo(
                        name: $0.backend.id,
                        type: "child<\($0.backend.typeName)>"
                    )
                }
        case "objects" where parts.count == 2:
            return try backend(parts[1], path).properties.map {
                ObjectPropertyInfo(name: $0.name, type: $0.type)
            }
        default:
            throw Self.notFound(path)
        }
    }

    private func property(_ name: String, at path: String) throws(QMPError) -> JSONValue {
        let parts = path.split(separator: "/").map(String.init)
        if parts.count == 2, parts[0] == "objects" {
            let backend = try backend(parts[1], path)
            if let property = backend.properties.first(where: { $0.name == name }) {
                return property.value
            }
        } else if name == "type" {
            switch parts {
            case []: return .string("container")
            case ["objects"]: return .string("container")
            case ["machine"]: return .string("\(profile.identity.machineType)-machine")
            default: break
            }
        }
        _ = try list(path)
        throw QMPError("Property '\(path).\(name)' not found")
    }

    private func backend(_ id: String, _ path: String) throws(QMPError) -> MemoryBackend {
        guard let entry = objects[id] else { throw Self.notFound(path) }
        return entry.backend
    }

    private static func notFound(_ path: String) -> QMPError {
        QMPError("Device '\(path)' not found", class: .deviceNotFound)
    }

    private static func types(_ arguments: QOMListTypesArguments) -> [ObjectTypeInfo] {
        let backends = ObjectType.allCases.map {
            ObjectTypeInfo(name: $0.rawValue, parent: "memory-backend")
        }
        switch arguments.implements {
        case nil, "object", "memory-backend", "user-creatable": return backends
        default: return []
        }
    }
}

extension MemoryBackend {
    /// A property as `qom-get` shows it.
    struct Property {
        let name: String
        let type: String
        let value: JSONValue
    }

    /// The properties that `qom-list` lists.
    var properties: [Property] {
        var list = [
            Property(name: "type", type: "string", value: .string(typeName)),
            Property(name: "size", type: "int", value: byteCount.toJSON()),
            Property(name: "share", type: "bool", value: .bool(isShared)),
            Property(name: "prealloc", type: "bool", value: .bool(isPreallocated)),
            Property(name: "merge", type: "bool", value: .bool(isMerged)),
            Property(name: "dump", type: "bool", value: .bool(isDumped)),
            Property(name: "reserve", type: "bool", value: .bool(true)),
            Property(name: "policy", type: "HostMemPolicy", value: .string("default")),
        ]
        if case .file(let path, let offset, let readOnly) = kind {
            list += [
                Property(name: "mem-path", type: "string", value: .string(path)),
                Property(name: "offset", type: "int", value: offset.toJSON()),
                Property(name: "readonly", type: "bool", value: .bool(readOnly)),
            ]
        }
        return list
    }
}
