import BerthStream

/// Values of device fields as people read them.
enum DeviceFieldText {
    /// Numbers and bytes that are shown of one field.
    static let elementLimit = 64

    /// A value that isn't made of structures; nil for one that is.
    static func value(_ field: DeviceField) -> String? {
        switch field.value {
        case .unsigned(.max) where field.type == "timer": return "not armed"
        case .unsigned, .signed, .bool: return scalar(field.value)
        case .numbers(let numbers):
            if let first = numbers.first, numbers.count > 1, numbers.allSatisfy({ $0 == first }) {
                return "\(grouped(numbers.count)) times \(scalar(first))"
            }
            let shown = numbers.prefix(elementLimit).map(scalar).joined(separator: " ")
            return shown + more(numbers.count)
        case .bytes(let bytes): return self.bytes(bytes)
        case .structure, .structures: return nil
        }
    }

    /// A single number or truth value.
    static func scalar(_ value: DeviceField.Value) -> String {
        switch value {
        case .unsigned(let number): number < 10 ? "\(number)" : hexadecimal(number)
        case .signed(let number): "\(number)"
        case .bool(let truth): "\(truth)"
        default: ""
        }
    }

    private static func bytes(_ bytes: ArraySlice<UInt8>) -> String {
        guard let first = bytes.first else { return "nothing" }
        if bytes.count > 1, bytes.allSatisfy({ $0 == first }) {
            return "\(grouped(bytes.count)) times \(hexadecimalDigits([first]))"
        }
        if let text = text(bytes) {
            return "\"\(text)\""
        }
        return hexadecimalDigits(bytes.prefix(elementLimit)) + more(bytes.count)
    }

    /// Bytes that are a name, padded with zeros.
    private static func text(_ bytes: ArraySlice<UInt8>) -> String? {
        let text = bytes.prefix { $0 != 0 }
        guard text.count >= 3, text.count <= elementLimit, bytes.count > 4,
            text.allSatisfy({ (0x20...0x7e).contains($0) }),
            bytes.dropFirst(text.count).allSatisfy({ $0 == 0 })
        else {
            return nil
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func more(_ count: Int) -> String {
        count > elementLimit ? " … \(grouped(count - elementLimit)) more" : ""
    }

    /// Name and place in an array, as `ports[3]`.
    static func name(_ field: DeviceField) -> String {
        field.index.map { "\(field.name)[\($0)]" } ?? field.name
    }

    /// Type and number of elements, as `uint64 × 16`.
    static func type(_ field: DeviceField) -> String {
        field.count == 1 ? field.type : "\(field.type) × \(grouped(field.count))"
    }
}
