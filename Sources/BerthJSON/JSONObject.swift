/// The members of a JSON object, in the order in which they were added.
///
/// Keys are compared byte by byte: two spellings of one letter are two keys, as they are for QEMU.
/// Look-up is linear in small objects and hashed in large ones, so that a hostile object with a
/// million members costs no more than its length.
public struct JSONObject: Sendable {
    /// From this many members on keys are hashed; below, comparing is faster.
    private static let indexThreshold = 16

    /// The members, oldest first.
    public private(set) var members: [(key: String, value: JSONValue)] = []
    /// Positions by key; only kept while there are more than `indexThreshold` members.
    private var index: [ByteKey: Int] = [:]

    /// An object without members.
    public init() {}

    /// An object with these members; a repeated key replaces the earlier value.
    ///
    /// - Parameter members: keys and values in order.
    public init(_ members: some Sequence<(String, JSONValue)>) {
        for (key, value) in members { self[key] = value }
    }

    /// How many members there are.
    public var count: Int { members.count }

    /// Whether there are none.
    public var isEmpty: Bool { members.isEmpty }

    /// The keys, oldest first.
    public var keys: [String] { members.map(\.key) }

    /// The value of a member.
    ///
    /// Setting replaces the value in place or appends a member; setting `nil` removes it.
    ///
    /// - Parameter key: the member's name.
    public subscript(_ key: String) -> JSONValue? {
        get { position(of: key).map { members[$0].value } }
        set {
            switch (position(of: key), newValue) {
            case (let position?, let value?): members[position].value = value
            case (nil, let value?): append(key, value)
            case (let position?, nil): remove(at: position)
            case (nil, nil): break
            }
        }
    }

    private func position(of key: String) -> Int? {
        guard index.isEmpty else { return index[ByteKey(key)] }
        return members.firstIndex { $0.key.utf8.elementsEqual(key.utf8) }
    }

    private mutating func append(_ key: String, _ value: JSONValue) {
        members.append((key, value))
        if !index.isEmpty {
            index[ByteKey(key)] = members.count - 1
        } else if members.count > Self.indexThreshold {
            rebuildIndex()
        }
    }

    private mutating func remove(at position: Int) {
        members.remove(at: position)
        index = [:]
        if members.count > Self.indexThreshold { rebuildIndex() }
    }

    private mutating func rebuildIndex() {
        for (position, member) in members.enumerated() { index[ByteKey(member.key)] = position }
    }
}

extension JSONObject: Equatable {
    /// Whether both have the same members, in whatever order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.members.allSatisfy { right[$0.key] == $0.value }
    }
}

extension JSONObject: Sequence {
    /// The members, oldest first.
    public func makeIterator() -> IndexingIterator<[(key: String, value: JSONValue)]> {
        members.makeIterator()
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    /// An object written in the source; a repeated key replaces the earlier value.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self.init(elements)
    }
}

/// A string that equals another one only if their bytes do.
///
/// `String` itself holds canonically equivalent spellings for equal.
struct ByteKey: Hashable {
    private let text: String

    init(_ text: String) {
        self.text = text
    }

    static func == (left: ByteKey, right: ByteKey) -> Bool {
        left.text.utf8.elementsEqual(right.text.utf8)
    }

    func hash(into hasher: inout Hasher) {
        for byte in text.utf8 { hasher.combine(byte) }
    }
}
