public import BerthJSON

extension ArgumentPlace {
    /// The value as a text, which on the command line every scalar is.
    func text(_ value: JSONValue) throws(QMPError) -> String {
        switch value {
        case .string(let text): return text
        // Of options that are repeated, the last one counts.
        case .array(let list) where spelling == .options:
            if case .string(let text)? = list.last { return text }
            throw wrongType(expected: "string")
        case .object where spelling == .keyval, .array where spelling == .keyval:
            throw QMPError("Parameters '\(fullName).*' are unexpected")
        default: throw wrongType(expected: "string")
        }
    }
}

extension String: QAPIValue {
    /// Checks a text that a client sent.
    public static func decode(
        _ value: JSONValue,
        at place: ArgumentPlace
    ) throws(QMPError) -> String {
        try place.text(value)
    }

    /// The value as a client gets it.
    public func toJSON() -> JSONValue { .string(self) }
}

extension Bool: QAPIValue {
    /// Checks a switch that a client sent.
    public static func decode(_ value: JSONValue, at place: ArgumentPlace) throws(QMPError) -> Bool
    {
        guard place.spelling == .json else {
            guard let flag = Bool(switchText: try place.text(value)) else {
                throw place.expects("'on' or 'off'")
            }
            return flag
        }
        guard case .bool(let flag) = value else { throw place.wrongType(expected: "boolean") }
        return flag
    }

    /// The value as a client gets it.
    public func toJSON() -> JSONValue { .bool(self) }

    /// Reads a switch of the command line: `on`, `off`, or one of their other spellings.
    public init?(switchText: String) {
        switch switchText {
        case "on", "yes", "true", "y": self = true
        case "off", "no", "false", "n": self = false
        default: return nil
        }
    }
}

extension Double: QAPIValue {
    /// Checks a number that a client sent.
    public static func decode(
        _ value: JSONValue,
        at place: ArgumentPlace
    ) throws(QMPError) -> Double {
        switch value {
        case .integer(let number) where place.spelling == .json: return Double(number)
        case .unsigned(let number) where place.spelling == .json: return Double(number)
        case .double(let number) where place.spelling == .json: return number
        case .string(let text) where place.spelling != .json:
            if let number = Double(text) { return number }
        default: break
        }
        throw place.wrongType(expected: "number")
    }

    /// The value as a client gets it.
    public func toJSON() -> JSONValue { .double(self) }
}

extension JSONValue: QAPIValue {
    /// Checks anything that a client sent.
    public static func decode(
        _ value: JSONValue,
        at place: ArgumentPlace
    ) throws(QMPError) -> JSONValue {
        value
    }

    /// The value as a client gets it.
    public func toJSON() -> JSONValue { self }
}

extension Array: QAPIValue where Element: QAPIValue {
    /// Checks a list and its elements that a client sent.
    public static func decode(
        _ value: JSONValue,
        at place: ArgumentPlace
    ) throws(QMPError) -> [Element] {
        var elements: [JSONValue]
        switch value {
        case .array(let list): elements = list
        // A key that isn't repeated is a list of one.
        case .string where place.spelling == .options: elements = [value]
        default: throw place.wrongType(expected: "array")
        }
        if place.spelling == .options {
            var expanded: [JSONValue] = []
            for case .string(let text) in elements {
                expanded += try Element.expand(text, at: place) ?? [.string(text)]
            }
            elements = expanded
        }
        var result: [Element] = []
        result.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            result.append(try Element.decode(element, at: place.element(index)))
        }
        return result
    }

    /// The value as a client gets it.
    public func toJSON() -> JSONValue { .array(map { $0.toJSON() }) }
}
