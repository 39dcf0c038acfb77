import BerthJSON
import BerthMemory
import BerthMigration
import BerthQAPI

extension Endpoint {
    /// The commands that make, delete and show objects: memory backends, and what writes them.
    func executeObject(_ command: QMPCommand) async throws(QMPError) -> JSONValue {
        switch command {
        case .objectAdd(let options):
            guard Self.isIdentifier(options.id) else {
                throw QMPError(
                    "Parameter 'id' expects an identifier",
                    hint: "identifiers consist of letters, digits, '-', '.', '_', starting with a "
                        + "letter"
                )
            }
            try await add(options)
        case .objectDel(let arguments):
            if try !writers.remove(arguments.id) {
                try objects.remove(arguments.id)
            }
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

    private func add(_ options: ObjectOptions) async throws(QMPError) {
        guard options.writtenBackend != nil else {
            guard !writers.all.contains(where: { $0.options.id == options.id }) else {
                throw QMPError("attempt to add duplicate object '\(options.id)'")
            }
            _ = try objects.add(MemoryBackend(options))
            return
        }
        let isIncoming = await controller.status.state == .inmigrate
        let writers = writers
        // Looks at all of the memory that it is to write.
        try await onThread { () -> Result<Void, QMPError> in
            do throws(QMPError) {
                return .success(try writers.add(options, expectsContent: isIncoming))
            } catch {
                return .failure(error)
            }
        }.get()
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
                + writers.all.map {
                    ObjectPropertyInfo(
                        name: $0.options.id,
                        type: "child<\($0.options.variant.tag.rawValue)>"
                    )
                }
        case "objects" where parts.count == 2:
            return try properties(of: parts[1], path).map {
                ObjectPropertyInfo(name: $0.name, type: $0.type)
            }
        default:
            throw Self.notFound(path)
        }
    }

    private func property(_ name: String, at path: String) throws(QMPError) -> JSONValue {
        let parts = path.split(separator: "/").map(String.init)
        if parts.count == 2, parts[0] == "objects" {
            let properties = try properties(of: parts[1], path)
            if let property = properties.first(where: { $0.name == name }) {
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

    private func properties(
        of id: String,
        _ path: String
    ) throws(QMPError) -> [ObjectProperty] {
        if let entry = objects[id] { return entry.backend.properties }
        guard let entry = writers.all.first(where: { $0.options.id == id }) else {
            throw Self.notFound(path)
        }
        return entry.options.writerProperties
    }

    private static func notFound(_ path: String) -> QMPError {
        QMPError("Device '\(path)' not found", class: .deviceNotFound)
    }

    private static func types(_ arguments: QOMListTypesArguments) -> [ObjectTypeInfo] {
        let types = ObjectType.allCases.map {
            let isWriter = $0 == .guestWorkload || $0 == .externalWriter
            return ObjectTypeInfo(
                name: $0.rawValue,
                parent: isWriter ? "object" : "memory-backend"
            )
        }
        switch arguments.implements {
        case nil, "object", "user-creatable": return types
        case "memory-backend": return types.filter { $0.parent == "memory-backend" }
        case let name?: return types.filter { $0.name == name }
        }
    }
}

/// A property as `qom-get` shows it.
struct ObjectProperty {
    let name: String
    let type: String
    let value: JSONValue
}

extension ObjectOptions {
    /// The properties that `qom-list` lists of what writes memory.
    fileprivate var writerProperties: [ObjectProperty] {
        let type = ObjectProperty(
            name: "type",
            type: "string",
            value: .string(variant.tag.rawValue)
        )
        switch variant {
        case .guestWorkload(let workload):
            return [
                type,
                ObjectProperty(name: "memdev", type: "string", value: .string(workload.memdev)),
                ObjectProperty(name: "start", type: "int", value: workload.start.toJSON()),
                ObjectProperty(
                    name: "pattern",
                    type: "WorkloadPattern",
                    value: workload.pattern.toJSON()
                ),
                ObjectProperty(name: "rate", type: "int", value: workload.rate.toJSON()),
                ObjectProperty(name: "threads", type: "int", value: workload.threads.toJSON()),
            ]
                + (workload.size.map {
                    [ObjectProperty(name: "size", type: "int", value: $0.toJSON())]
                } ?? [])
        case .externalWriter(let writer):
            return [
                type,
                ObjectProperty(name: "memdev", type: "string", value: .string(writer.memdev)),
                ObjectProperty(name: "path", type: "string", value: .string(writer.path)),
            ]
        default:
            return [type]
        }
    }
}

extension MemoryBackend {
    /// The properties that `qom-list` lists.
    var properties: [ObjectProperty] {
        var list = [
            ObjectProperty(name: "type", type: "string", value: .string(typeName)),
            ObjectProperty(name: "size", type: "int", value: byteCount.toJSON()),
            ObjectProperty(name: "share", type: "bool", value: .bool(isShared)),
            ObjectProperty(name: "prealloc", type: "bool", value: .bool(isPreallocated)),
            ObjectProperty(name: "merge", type: "bool", value: .bool(isMerged)),
            ObjectProperty(name: "dump", type: "bool", value: .bool(isDumped)),
            ObjectProperty(name: "reserve", type: "bool", value: .bool(true)),
            ObjectProperty(name: "policy", type: "HostMemPolicy", value: .string("default")),
        ]
        if case .file(let path, let offset, let readOnly) = kind {
            list += [
                ObjectProperty(name: "mem-path", type: "string", value: .string(path)),
                ObjectProperty(name: "offset", type: "int", value: offset.toJSON()),
                ObjectProperty(name: "readonly", type: "bool", value: .bool(readOnly)),
            ]
        }
        return list
    }
}
