public import BerthJSON

/// A value of a type that the schema knows.
public protocol QAPIValue: Sendable, Equatable {
    /// Checks a value that a client sent.
    /// - Throws: `QMPError` in QEMU's words, with the value's place.
    static func decode(_ value: JSONValue, at place: ArgumentPlace) throws(QMPError) -> Self

    /// The value as a client gets it.
    func toJSON() -> JSONValue

    /// Several values in one text, where a list stands in flat options: `0-3`.
    ///
    /// - Returns: nil if values of this type have no such form.
    /// - Throws: `QMPError` if the text isn't of that form.
    static func expand(_ text: String, at place: ArgumentPlace) throws(QMPError) -> [JSONValue]?
}

extension QAPIValue {
    /// Most types have no such form.
    public static func expand(
        _ text: String,
        at place: ArgumentPlace
    ) throws(QMPError) -> [JSONValue]? {
        nil
    }
}

/// A struct or union.
public protocol QAPIObject: QAPIValue {
    /// Takes the members out of an object, in the schema's order.
    init(reading reader: inout ObjectReader) throws(QMPError)

    /// Adds the members to an object; what is nil is left out.
    func write(to object: inout JSONObject)
}

extension QAPIObject {
    /// Checks an object that isn't the arguments of a command: an element of a list, or what stood
    /// on the command line.
    public init(
        checking object: JSONObject,
        spelling: ArgumentSpelling = .json
    ) throws(QMPError) {
        var reader = ObjectReader(object, spelling: spelling)
        try self.init(reading: &reader)
        try reader.finish()
    }

    /// Checks an object and all of its members.
    public static func decode(
        _ value: JSONValue,
        at place: ArgumentPlace
    ) throws(QMPError) -> Self {
        guard case .object(let object) = value else { throw place.wrongType(expected: "object") }
        var reader = ObjectReader(object, at: place)
        let result = try Self(reading: &reader)
        try reader.finish()
        return result
    }

    /// The members as an object.
    public func toObject() -> JSONObject {
        var object = JSONObject()
        write(to: &object)
        return object
    }

    /// The members as JSON.
    public func toJSON() -> JSONValue { .object(toObject()) }
}

/// A set of names.
public protocol QAPIEnumeration: QAPIValue, RawRepresentable, CaseIterable
where RawValue == String {
    /// Other names that are accepted, and what they mean. Never sent.
    static var aliases: [String: Self] { get }
}

extension QAPIEnumeration {
    /// Most sets have one name for each value.
    public static var aliases: [String: Self] { [:] }

    /// The value of this name, or of which this is another name.
    public init?(name: String) {
        guard let value = Self(rawValue: name) ?? Self.aliases[name] else { return nil }
        self = value
    }

    /// Checks a name.
    public static func decode(
        _ value: JSONValue,
        at place: ArgumentPlace
    ) throws(QMPError) -> Self {
        let name = try place.text(value)
        guard let result = Self(name: name) else { throw place.unknownValue(name) }
        return result
    }

    /// The name as a client gets it.
    public func toJSON() -> JSONValue { .string(rawValue) }
}
