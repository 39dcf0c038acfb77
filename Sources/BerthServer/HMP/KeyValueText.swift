internal import BerthJSON
internal import BerthQAPI

/// Options written as `key=value,key.member=value,list.0=value`; a comma in a value is doubled.
enum KeyValueText {
    /// How deep keys may nest: nothing that options describe nests deeper than three.
    private static let depthLimit = 32

    /// What has been read so far below a key.
    fileprivate indirect enum Node {
        case text(String)
        case members([(key: String, node: Node)])
    }

    /// Reads options.
    ///
    /// - Parameters:
    ///   - text: all of them; one comma at the end is ignored.
    ///   - impliedKey: what the first one is for if it has no key.
    /// - Returns: an object whose scalars are all strings, to be checked with spelling `keyval`.
    static func parse(_ text: String, impliedKey: String? = nil) throws(QMPError) -> JSONObject {
        var root = Node.members([])
        var isFirst = true
        for option in options(of: text) {
            let bytes = option.utf8
            let key: String
            let value: String
            if let sign = bytes.firstIndex(of: UInt8(ascii: "=")) {
                key = String(option[..<sign])
                value = String(option[bytes.index(after: sign)...])
            } else if isFirst, let impliedKey {
                key = impliedKey
                value = option
            } else if option.isEmpty {
                throw QMPError("Invalid parameter ''")
            } else {
                throw QMPError("Expected '=' after parameter '\(option)'")
            }
            isFirst = false
            let path = key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            guard path.count <= depthLimit, !path.contains("") else {
                throw QMPError("Invalid parameter '\(key)'")
            }
            try root.set(path[...], value, key: key)
        }
        guard case .object(let object) = try root.value(path: "") else { return [:] }
        return object
    }

    /// The options, with doubled commas made single.
    private static func options(of text: String) -> [String] {
        var options: [[UInt8]] = [[]]
        let bytes = Array(text.utf8)
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: ",") {
                guard index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: ",") else {
                    options.append([])
                    index += 1
                    continue
                }
                index += 1
            }
            options[options.count - 1].append(bytes[index])
            index += 1
        }
        if options.last == [] { options.removeLast() }
        return options.map { String(decoding: $0, as: UTF8.self) }
    }
}

extension KeyValueText.Node {
    fileprivate mutating func set(
        _ path: ArraySlice<String>,
        _ value: String,
        key: String
    ) throws(QMPError) {
        guard let first = path.first else {
            if case .members = self {
                throw QMPError("Parameters '\(key).*' used inconsistently")
            }
            self = .text(value)
            return
        }
        guard case .members(var members) = self else {
            throw QMPError("Parameters '\(key)' used inconsistently")
        }
        let rest = path.dropFirst()
        if let index = members.firstIndex(where: { $0.key == first }) {
            try members[index].node.set(rest, value, key: key)
        } else {
            var node = rest.isEmpty ? Self.text(value) : .members([])
            try node.set(rest, value, key: key)
            members.append((first, node))
        }
        self = .members(members)
    }

    /// The value, where keys that are numbers make a list.
    fileprivate func value(path: String) throws(QMPError) -> JSONValue {
        switch self {
        case .text(let text): return .string(text)
        case .members(let members):
            let indices = members.compactMap { Int($0.key) }
            guard !path.isEmpty, !indices.isEmpty else {
                var object = JSONObject()
                for (key, node) in members {
                    object[key] = try node.value(path: path.isEmpty ? key : path + "." + key)
                }
                return .object(object)
            }
            guard indices.count == members.count else {
                throw QMPError("Parameters '\(path).*' used inconsistently")
            }
            var list: [JSONValue] = []
            for index in members.indices {
                guard let node = members.first(where: { Int($0.key) == index })?.node else {
                    throw QMPError("Parameter '\(path).\(index)' missing")
                }
                list.append(try node.value(path: "\(path).\(index)"))
            }
            return .array(list)
        }
    }
}
