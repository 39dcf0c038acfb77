internal import BerthJSON

/// What a monitor's own schema says of its commands (`query-qmp-schema`).
struct CommandIndex {
    /// An argument, or a member of one.
    struct Argument: Equatable {
        var name: String
        /// The name of its type in the schema.
        var type: String
        var isOptional: Bool
    }

    private var types: [String: JSONValue] = [:]
    private var argumentTypes: [String: String] = [:]
    /// The commands' names, sorted.
    private(set) var commands: [String] = []

    /// Reads a schema; entries that make no sense are left out.
    init(schema: JSONValue) {
        for entry in schema.arrayValue ?? [] {
            guard let name = entry["name"]?.stringValue else { continue }
            if entry["meta-type"]?.stringValue == "command" {
                argumentTypes[name] = entry["arg-type"]?.stringValue ?? ""
            } else {
                types[name] = entry
            }
        }
        commands = argumentTypes.keys.sorted()
    }

    /// An index of names only.
    init(commands: [String]) {
        self.commands = commands.sorted()
    }

    /// The arguments of a command; nil if it isn't known.
    func arguments(of command: String) -> [Argument]? {
        argumentTypes[command].map { members(of: $0) }
    }

    /// The members of an object type, those of its variants last.
    func members(of type: String) -> [Argument] {
        guard let entry = types[type] else { return [] }
        var members = (entry["members"]?.arrayValue ?? []).compactMap(Self.argument)
        for variant in entry["variants"]?.arrayValue ?? [] {
            guard let name = variant["type"]?.stringValue, name != type else { continue }
            for member in types[name]?["members"]?.arrayValue ?? [] {
                guard var argument = Self.argument(member) else { continue }
                argument.isOptional = true
                if !members.contains(where: { $0.name == argument.name }) {
                    members.append(argument)
                }
            }
        }
        return members
    }

    private static func argument(_ member: JSONValue) -> Argument? {
        guard let name = member["name"]?.stringValue, let type = member["type"]?.stringValue else {
            return nil
        }
        // Its value may be null, but it is there: that is how a schema says "optional".
        return Argument(name: name, type: type, isOptional: member["default"] != nil)
    }

    /// The values of an enumeration or of a truth value; none for other types.
    func values(of type: String) -> [String] {
        if type == "bool" { return ["false", "true"] }
        let entry = types[type]
        let members = entry?["members"]?.arrayValue ?? entry?["values"]?.arrayValue ?? []
        guard entry?["meta-type"]?.stringValue == "enum" else { return [] }
        return members.compactMap { $0["name"]?.stringValue ?? $0.stringValue }
    }

    /// Whether a type has members of its own.
    func isObject(_ type: String) -> Bool {
        types[type]?["meta-type"]?.stringValue == "object"
    }

    /// The type of an array's elements; nil for other types.
    func element(of type: String) -> String? {
        guard types[type]?["meta-type"]?.stringValue == "array" else { return nil }
        return types[type]?["element-type"]?.stringValue
    }

    /// A type in a few words, such as `str`, `main|cpr` or `list of object`.
    func text(of type: String) -> String { text(of: type, depth: 0) }

    private func text(of type: String, depth: Int) -> String {
        // A hostile schema may go round in circles.
        guard depth < 8 else { return "..." }
        if let element = element(of: type) {
            return "list of " + text(of: element, depth: depth + 1)
        }
        switch types[type]?["meta-type"]?.stringValue {
        case "enum": return values(of: type).joined(separator: "|")
        case "object": return "object"
        case "alternate":
            let members = types[type]?["members"]?.arrayValue ?? []
            return members.compactMap { $0["type"]?.stringValue }
                .map { text(of: $0, depth: depth + 1) }.joined(separator: " or ")
        default: return types[type]?["json-type"]?.stringValue ?? type
        }
    }
}

extension CommandIndex {
    /// Objects inside one another that help looks into.
    private static let helpDepth = 5
    /// Lines of help for one command; hostile schemas have more.
    private static let helpLineLimit = 300

    /// The arguments of a command, one a line; nil if it isn't known.
    func help(for command: String) -> String? {
        guard let arguments = arguments(of: command) else { return nil }
        var lines = [command + (arguments.isEmpty ? ": no arguments" : "")]
        describe(arguments, level: 1, into: &lines)
        if lines.count >= Self.helpLineLimit { lines.append("...") }
        return lines.map { VisibleText.line($0) + "\n" }.joined()
    }

    private func describe(_ arguments: [Argument], level: Int, into lines: inout [String]) {
        for argument in arguments where lines.count < Self.helpLineLimit {
            let indent = String(repeating: "  ", count: level)
            let optional = argument.isOptional ? ", optional" : ""
            lines.append("\(indent)\(argument.name): \(text(of: argument.type))\(optional)")
            guard level < Self.helpDepth else { continue }
            let inner = members(of: element(of: argument.type) ?? argument.type)
            if isObject(element(of: argument.type) ?? argument.type) {
                describe(inner, level: level + 1, into: &lines)
            }
        }
    }

    /// What could be typed next in `command key=value ...`.
    ///
    /// - Parameters:
    ///   - command: the first word.
    ///   - words: those between the first and the last.
    ///   - word: the last, as far as it was typed.
    func candidates(command: String, words: [Substring], word: String) -> [String] {
        guard let arguments = arguments(of: command) else { return [] }
        var prefix = ""
        var level = arguments
        var rest = word[...]
        // Down the path of `key.sub.subsub`, but not into a value.
        while let dot = rest.firstIndex(of: "."), !rest[..<dot].contains("=") {
            let name = rest[..<dot]
            guard let argument = level.first(where: { $0.name == name }) else { return [] }
            level = members(of: argument.type)
            rest = rest[rest.index(after: dot)...]
            prefix += name + "."
        }
        if let sign = rest.firstIndex(of: "=") {
            guard let argument = level.first(where: { $0.name == rest[..<sign] }) else { return [] }
            return values(of: argument.type).map { "\(prefix)\(argument.name)=\($0)" }
        }
        let given = Set(words.compactMap { $0.split(separator: "=").first.map(String.init) })
        return level.map { prefix + $0.name + (isObject($0.type) ? "." : "=") }
            .filter { !given.contains(String($0.dropLast())) }
    }
}
