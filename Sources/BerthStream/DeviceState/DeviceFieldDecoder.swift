import BerthJSON

/// Reads the body of one device section along its description.
///
/// The description is a claim. What it says is followed while it fits the bytes; the first thing
/// that doesn't is kept in `problem`, and the bytes from there on become one raw field.
///
/// Depth is bounded by the JSON parser, the number of structures by `budget`: a description of a few
/// bytes can ask for an array of empty structures without end.
struct DeviceFieldDecoder {
    /// Structures and fields that the description of a whole guest may unfold into.
    ///
    /// A large q35 guest has some thousands; this many are about 16 MB.
    static let budget = 1 << 17

    /// Type and name of the field that holds bytes which are not described.
    static let undescribed = "undescribed"

    private let body: ArraySlice<UInt8>
    /// Structures and fields that may still be made.
    private(set) var budget: Int
    /// What first didn't fit, with the names on the way to it.
    private(set) var problem: String?
    private var path: [String] = []

    init(_ body: ArraySlice<UInt8>, budget: Int) {
        self.body = body
        self.budget = budget
    }

    /// Decodes the whole body.
    ///
    /// - Parameter description: the device's element of the description's list.
    mutating func decode(_ description: JSONObject) -> DeviceStructure {
        // A handler of the old style is described by its size alone, or by one field of that size.
        var described = description
        if description["fields"] == nil, let size = description["size"] {
            described["fields"] = [["name": "data", "type": "buffer", "size": size]]
        }
        return whole(described, body)
    }

    /// A structure that must fill `bytes`; what is left over becomes a field.
    private mutating func whole(
        _ description: JSONObject,
        _ bytes: ArraySlice<UInt8>
    ) -> DeviceStructure {
        var rest = bytes
        var structure = next(description, &rest)
        if !rest.isEmpty {
            note("\(rest.count) bytes more than described")
            structure.fields.append(remainder(&rest))
        }
        return structure
    }

    /// A structure at the beginning of `rest`, which is cut off there.
    private mutating func next(
        _ description: JSONObject,
        _ rest: inout ArraySlice<UInt8>
    ) -> DeviceStructure {
        var structure = DeviceStructure(
            name: description["vmsd_name"]?.stringValue ?? "",
            version: description["version"]?.uint64Value ?? 0,
            fields: [],
            subsections: []
        )
        for element in description["fields"]?.arrayValue ?? [] {
            guard let field = field(element, &rest) else {
                if !rest.isEmpty {
                    structure.fields.append(remainder(&rest))
                }
                return structure
            }
            structure.fields.append(field)
        }
        for element in description["subsections"]?.arrayValue ?? [] {
            guard let subsection = subsection(element, &rest) else {
                if !rest.isEmpty {
                    structure.fields.append(remainder(&rest))
                }
                break
            }
            structure.subsections.append(subsection)
        }
        return structure
    }

    /// A subsection: mark, name, version, fields; nil if something else lies there.
    private mutating func subsection(
        _ description: JSONValue,
        _ rest: inout ArraySlice<UInt8>
    ) -> DeviceStructure? {
        guard let members = description.objectValue,
            let name = members["vmsd_name"]?.stringValue,
            let nameByteCount = UInt8(exactly: name.utf8.count)
        else {
            note("a subsection is described without name")
            return nil
        }
        path.append(name)
        defer { path.removeLast() }
        let mark: [UInt8] = [0x05, nameByteCount]
        let headerByteCount = mark.count + name.utf8.count + 4
        guard rest.count >= headerByteCount, rest.starts(with: mark),
            rest.dropFirst(mark.count).starts(with: name.utf8)
        else {
            note("the described subsection is not there")
            return nil
        }
        guard spend() else {
            return nil
        }
        let version = rest.dropFirst(headerByteCount - 4).prefix(4)
        rest = rest.dropFirst(headerByteCount)
        var structure = next(members, &rest)
        // The stream's own word counts more than the description's.
        structure.version = version.reduce(0) { $0 << 8 | UInt64($1) }
        return structure
    }

    /// A field at the beginning of `rest`; nil if its description does not fit.
    private mutating func field(
        _ description: JSONValue,
        _ rest: inout ArraySlice<UInt8>
    ) -> DeviceField? {
        let members = description.objectValue ?? JSONObject()
        let name = members["name"]?.stringValue ?? ""
        path.append(name)
        defer { path.removeLast() }
        let count = members["array_len"].map(\.uint64Value) ?? 1
        guard let size = members["size"]?.uint64Value, let count else {
            note("a field is described without length")
            return nil
        }
        let product = size.multipliedReportingOverflow(by: count)
        guard !product.overflow, product.partialValue <= UInt64(rest.count),
            let byteCount = Int(exactly: product.partialValue),
            let elementByteCount = Int(exactly: size), let elementCount = Int(exactly: count)
        else {
            let described = product.overflow ? "too many" : "\(product.partialValue)"
            note("\(described) bytes are described, \(rest.count) are left")
            return nil
        }
        guard spend() else {
            return nil
        }
        let bytes = rest.prefix(byteCount)
        let type = members["type"]?.stringValue ?? ""
        let field = DeviceField(
            name: name,
            type: type,
            index: members["index"]?.uint64Value.flatMap { Int(exactly: $0) },
            offset: bytes.startIndex - body.startIndex,
            byteCount: byteCount,
            count: elementCount,
            value: value(members, type, bytes, elementByteCount)
        )
        rest = rest.dropFirst(byteCount)
        return field
    }

    /// What lies in a field's bytes.
    private mutating func value(
        _ members: JSONObject,
        _ type: String,
        _ bytes: ArraySlice<UInt8>,
        _ elementByteCount: Int
    ) -> DeviceField.Value {
        // Without bytes there is nothing to read, however many elements are described.
        guard elementByteCount > 0, !bytes.isEmpty else {
            return .bytes(bytes)
        }
        if let kind = DeviceNumberKind(type: type, byteCount: elementByteCount) {
            if bytes.count == elementByteCount {
                return kind.value(bytes)
            }
            return kind.isByte ? .bytes(bytes) : .numbers(DeviceNumbers(kind: kind, bytes: bytes))
        }
        if type == "qtailq" || type == "qlist" {
            return list(members, bytes).map { .structures($0) } ?? .bytes(bytes)
        }
        let isInline = type == "tmp" || type == "vstruct"
        guard let inner = isInline ? members : members["struct"]?.objectValue else {
            return .bytes(bytes)
        }
        if bytes.count == elementByteCount {
            return .structure(whole(inner, bytes))
        }
        var structures: [DeviceStructure] = []
        for start in stride(from: bytes.startIndex, to: bytes.endIndex, by: elementByteCount) {
            guard spend() else {
                return .bytes(bytes)
            }
            structures.append(whole(inner, bytes[start..<(start + elementByteCount)]))
        }
        return .structures(structures)
    }

    /// The elements of a linked list: a 1 before each, a 0 after the last.
    ///
    /// QEMU describes every element by repeating the same keys in one object, of which the parser
    /// keeps the last. So this works if all elements are alike, and gives nil if they are not.
    private mutating func list(
        _ description: JSONObject,
        _ bytes: ArraySlice<UInt8>
    ) -> [DeviceStructure]? {
        let earlier = problem
        problem = nil
        defer { problem = earlier ?? problem }
        var rest = bytes
        var structures: [DeviceStructure] = []
        while let mark = rest.popFirst(), mark < 2, spend() {
            if mark == 0 {
                return rest.isEmpty ? structures : nil
            }
            structures.append(next(description, &rest))
            guard problem == nil else {
                problem = nil
                return nil
            }
        }
        return nil
    }

    /// All that is left, as a field.
    private func remainder(_ rest: inout ArraySlice<UInt8>) -> DeviceField {
        defer { rest = rest.suffix(0) }
        return DeviceField(
            name: Self.undescribed,
            type: Self.undescribed,
            index: nil,
            offset: rest.startIndex - body.startIndex,
            byteCount: rest.count,
            count: 1,
            value: .bytes(rest)
        )
    }

    private mutating func spend() -> Bool {
        budget -= 1
        if budget < 0 {
            budget = 0
            note("the description unfolds into more than \(Self.budget) fields")
            return false
        }
        return true
    }

    private mutating func note(_ reason: String) {
        guard problem == nil else {
            return
        }
        problem = path.isEmpty ? reason : "\(path.joined(separator: ".")): \(reason)"
    }
}
