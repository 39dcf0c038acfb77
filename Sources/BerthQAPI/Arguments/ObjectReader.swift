public import BerthJSON

/// Takes members out of an object one by one, and knows in the end whether any was left.
///
/// The members of a union's branch are in the same object as the union's own, so one reader goes
/// through all of them.
public struct ObjectReader {
    private let object: JSONObject
    private let place: ArgumentPlace
    private var taken: [String] = []

    /// Reads the arguments of a command.
    public init(_ object: JSONObject, spelling: ArgumentSpelling = .json) {
        self.init(object, at: ArgumentPlace(spelling: spelling))
    }

    init(_ object: JSONObject, at place: ArgumentPlace) {
        self.object = object
        self.place = place
    }

    private mutating func take(_ name: String) -> JSONValue? {
        guard let value = object[name] else { return nil }
        taken.append(name)
        return value
    }

    /// A member that must be there.
    public mutating func required<T: QAPIValue>(_ name: String) throws(QMPError) -> T {
        guard let value = take(name) else { throw place.member(name).missing() }
        return try T.decode(value, at: place.member(name))
    }

    /// A member that may be absent.
    ///
    /// Null isn't absent.
    public mutating func optional<T: QAPIValue>(_ name: String) throws(QMPError) -> T? {
        guard let value = take(name) else { return nil }
        return try T.decode(value, at: place.member(name))
    }

    /// A number of bytes that must be there; on the command line it may have a suffix.
    public mutating func requiredSize(_ name: String) throws(QMPError) -> UInt64 {
        guard let value = take(name) else { throw place.member(name).missing() }
        return try Self.size(value, at: place.member(name))
    }

    /// A number of bytes that may be absent.
    public mutating func optionalSize(_ name: String) throws(QMPError) -> UInt64? {
        guard let value = take(name) else { return nil }
        return try Self.size(value, at: place.member(name))
    }

    private static func size(
        _ value: JSONValue,
        at place: ArgumentPlace
    ) throws(QMPError) -> UInt64 {
        guard place.spelling != .json else { return try UInt64.decode(value, at: place) }
        let text = try place.text(value)
        guard let size = SizeText.parse(text) else {
            throw place.expects(place.spelling == .options ? "a size value" : "size")
        }
        return size
    }

    /// Refuses the object if it has a member that nobody took.
    public func finish() throws(QMPError) {
        guard taken.count < object.count else { return }
        for (name, _) in object where !taken.contains(name) {
            throw place.member(name).unexpected()
        }
    }
}
