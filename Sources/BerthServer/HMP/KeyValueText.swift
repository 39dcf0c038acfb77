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
        let bytes = Array(text.utf8)
        var index = 0
        while index < bytes.count {
            let start = index
            while index < bytes.count, bytes[index] != equals, bytes[index] != comma { index += 1 }
            var key = String(decoding: bytes[start..<index], as: UTF8.self)
            if index < bytes.count, bytes[index] == equals {
                index += 1
            } else if start == 0, let impliedKey, !key.isEmpty {
                key = impliedKey
                index = start
            } else {
                throw key.isEmpty
                    ? QMPError("Invalid parameter ''")
                    : QMPError("Expected '=' after parameter '\(key)'")
            }
            let value = value(in: bytes, at: &index)
            let path = key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            guard path.count <= depthLimit, !path.contains("") else {
                throw QMPError("Invalid parameter '\(key)'")
            }
            try root.set(path[...], value, key: key)
        }
        guard case .object(let object) = try root.value(path: "") else { return [:] }
        return object
    }

    private static let equals = UInt8(ascii: "=")
    private static let comma = UInt8(ascii: ",")

    /// Takes a value and the comma after it; a doubled comma belongs to the value.
    private static func value(in bytes: [UInt8], at index: inout Int) -> String {
        var value: [UInt8] = []
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if byte == comma {
                guard index < bytes.count, bytes[index] == comma else { break }
                index += 1
            }
            value.append(byte)
        }
        return String(decoding: value, as: UTF8.self)
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
