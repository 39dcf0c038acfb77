import BerthStream

/// Compares the fields of a device section, by their names.
struct FieldComparison {
    /// The fields that differ, at most `DeviceDifference.fieldLimit`.
    private(set) var differing: [DeviceDifference.Field] = []
    /// How many differ.
    private(set) var differingCount = 0

    /// Numbers of an array that are told one by one; a longer one is told from its first difference on.
    private static let numberLimit = 64
    /// Bytes of each side that are shown.
    private static let byteLimit = 16

    /// Compares all parts of a section.
    init(_ first: [DecodedDevice], _ second: [DecodedDevice]) {
        let (ones, others) = (Self.leaves(of: first), Self.leaves(of: second))
        for (path, field) in ones.list {
            guard let index = others.byPath[path] else {
                add(path, DeviceFieldText.value(field), nil)
                continue
            }
            compare(path, field, others.list[index].field)
        }
        for (path, field) in others.list where ones.byPath[path] == nil {
            add(path, nil, DeviceFieldText.value(field))
        }
    }

    private mutating func add(_ path: String, _ first: String?, _ second: String?) {
        differingCount += 1
        if differing.count < DeviceDifference.fieldLimit {
            differing.append(DeviceDifference.Field(path: path, first: first, second: second))
        }
    }

    private mutating func compare(
        _ path: String,
        _ one: DeviceField,
        _ other: DeviceField
    ) {
        guard one.value != other.value else { return }
        switch (one.value, other.value) {
        case (.numbers(let ones), .numbers(let others))
        where ones.count == others.count && ones.count <= Self.numberLimit:
            for (index, (one, other)) in zip(ones, others).enumerated() where one != other {
                add("\(path)[\(index)]", DeviceFieldText.scalar(one), DeviceFieldText.scalar(other))
            }
        case (.bytes(let ones), .bytes(let others)):
            compareBytes(path, ones, others)
        default:
            add(path, DeviceFieldText.value(one), DeviceFieldText.value(other))
        }
    }

    /// Tells what is around the first byte that differs.
    private mutating func compareBytes(
        _ path: String,
        _ ones: ArraySlice<UInt8>,
        _ others: ArraySlice<UInt8>
    ) {
        let offset = zip(ones, others).enumerated().first { $1.0 != $1.1 }?.offset
        let start = offset ?? min(ones.count, others.count)
        func text(_ bytes: ArraySlice<UInt8>) -> String {
            let rest = bytes.dropFirst(start)
            guard !rest.isEmpty else { return "nothing" }
            return hexadecimalDigits(rest.prefix(Self.byteLimit))
                + (rest.count > Self.byteLimit ? "…" : "")
        }
        let isWhole = max(ones.count, others.count) <= Self.byteLimit
        if isWhole {
            add(path, hexadecimalDigits(ones), hexadecimalDigits(others))
        } else {
            add("\(path)+\(hexadecimal(start))", text(ones), text(others))
        }
    }

    // MARK: Fields by their names

    private typealias Leaf = (path: String, field: DeviceField)

    /// Every field that isn't made of others; the second one of a path is called `path#2`.
    private static func leaves(
        of parts: [DecodedDevice]
    ) -> (list: [Leaf], byPath: [String: Int]) {
        var list: [Leaf] = []
        var byPath: [String: Int] = [:]
        var counts: [String: Int] = [:]
        func add(_ path: String, _ field: DeviceField) {
            let count = counts[path, default: 0] + 1
            counts[path] = count
            let unique = count == 1 ? path : "\(path)#\(count)"
            byPath[unique] = list.count
            list.append((unique, field))
        }
        func visit(
            _ prefix: String,
            _ fields: [DeviceField],
            _ subsections: [DeviceStructure]
        ) {
            for field in fields {
                let path = prefix + DeviceFieldText.name(field)
                switch field.value {
                case .structure(let structure):
                    visit(path + ".", structure.fields, structure.subsections)
                case .structures(let structures):
                    for (index, structure) in structures.enumerated() {
                        visit("\(path)[\(index)].", structure.fields, structure.subsections)
                    }
                default:
                    add(path, field)
                }
            }
            for subsection in subsections {
                visit("\(prefix)\(subsection.name)/", subsection.fields, subsection.subsections)
            }
        }
        for part in parts {
            visit("", part.fields, part.subsections)
        }
        return (list, byPath)
    }
}
