import BerthJSON
import BerthQAPI

/// The keys that an option of the older grammar (QemuOpts) knows.
struct QemuOptionList: Sendable {
    /// How a value is checked.
    enum Kind: String, Sendable {
        case string, boolean, number, size
    }

    /// Name in messages.
    let name: String
    /// What the first element is for if it has no key.
    var impliedKey: String?
    /// Known keys in the order of their declaration; nil if every key is let through.
    var keys: [(name: String, kind: Kind)]?
}

/// Values of an option in QEMU's older grammar: `implied,key=value,flag,noflag`.
struct QemuOptions: Sendable {
    /// All pairs in order; of equal keys the last counts, but lists have them all.
    private(set) var pairs: [(key: String, value: String)] = []
    /// QEMU: `id=`.
    private(set) var id: String?
    /// What was odd, but not wrong.
    private(set) var warnings: [CommandLineMessage] = []

    /// Lines that go with a number that isn't one, word for word as QEMU has them.
    static let sizeHints = [
        "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-",
        "and exabytes, respectively.",
    ]
    static let identifierHints = [
        "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter."
    ]

    /// Reads an option's value.
    ///
    /// - Parameter warns: whether a flag without value is worth a warning.
    /// - Throws: what is wrong with it; warnings up to there come with it.
    init(_ text: String, _ list: QemuOptionList, warns: Bool = true) throws(CommandLineError) {
        do {
            try read(text, list, warns)
        } catch {
            throw CommandLineError(messages: warnings + error.messages)
        }
    }

    private mutating func read(
        _ text: String,
        _ list: QemuOptionList,
        _ warns: Bool
    ) throws(CommandLineError) {
        var reader = OptionTextReader(text)
        var isFirst = true
        while let element = reader.next() {
            let pair = pair(element, isFirst ? list.impliedKey : nil, warns)
            isFirst = false
            if pair.key == "id" {
                guard Endpoint.isIdentifier(pair.value) else {
                    throw CommandLineError(
                        "Parameter 'id' expects an identifier",
                        hints: Self.identifierHints
                    )
                }
                id = id ?? pair.value
                continue
            }
            if let keys = list.keys {
                guard let known = keys.first(where: { $0.name == pair.key }) else {
                    throw CommandLineError("Invalid parameter '\(pair.key)'")
                }
                try Self.check(pair.value, of: known.name, known.kind)
            }
            pairs.append(pair)
        }
    }

    private mutating func pair(
        _ element: OptionTextReader.Element,
        _ impliedKey: String?,
        _ warns: Bool
    ) -> (key: String, value: String) {
        if let key = element.key { return (key, element.value) }
        if let impliedKey { return (impliedKey, element.value) }
        let isOff = element.value.hasPrefix("no")
        let key = isOff ? String(element.value.dropFirst(2)) : element.value
        let value = isOff ? "off" : "on"
        if warns {
            warnings.append(
                CommandLineMessage(
                    severity: .warning,
                    text: "short-form boolean option '\(element.value)' deprecated",
                    hints: ["Please use \(key)=\(value) instead"]
                )
            )
        }
        return (key, value)
    }

    /// Checks a value against its kind.
    static func check(
        _ value: String,
        of name: String,
        _ kind: QemuOptionList.Kind
    ) throws(CommandLineError) {
        switch kind {
        case .string: break
        case .boolean:
            guard Bool(switchText: value) != nil else {
                throw CommandLineError("Parameter '\(name)' expects 'on' or 'off'")
            }
        case .number:
            guard number(value) != nil else {
                throw CommandLineError("Parameter '\(name)' expects a number")
            }
        case .size:
            guard SizeText.parse(value) == nil else { break }
            guard !isSizeOutOfRange(value) else {
                throw CommandLineError("Value '\(value)' is out of range for parameter '\(name)'")
            }
            throw CommandLineError(
                "Parameter '\(name)' expects a non-negative number below 2^64",
                hints: sizeHints
            )
        }
    }

    /// Whether a size that can't be read is one that is negative or too large.
    private static func isSizeOutOfRange(_ text: String) -> Bool {
        let digits = text.drop { $0 == "-" }.prefix { $0.isASCII && $0.isNumber }
        let suffix = text.drop { $0 == "-" }.dropFirst(digits.count)
        guard !digits.isEmpty, suffix.isEmpty || "bkmgtpe".contains(suffix.lowercased()),
            suffix.count <= 1
        else { return false }
        return true
    }

    /// A number as QEMU reads it here: one that is negative wraps around, as C's `strtoull` does.
    static func number(_ text: String) -> UInt64? {
        if let number = UInt64(cText: text) { return number }
        guard text.hasPrefix("-"), let number = UInt64(cText: String(text.dropFirst())) else {
            return nil
        }
        return 0 &- number
    }

    subscript(key: String) -> String? { pairs.last { $0.key == key }?.value }

    /// A switch that has been checked.
    func flag(_ key: String) -> Bool? { self[key].flatMap(Bool.init(switchText:)) }

    /// A number that has been checked, as the signed one that QEMU makes of it.
    func number(_ key: String) -> Int64? {
        self[key].flatMap(Self.number).map { Int64(truncatingIfNeeded: $0) }
    }

    /// The pairs as an object of strings, for the schema's types; equal keys are a list.
    var object: JSONObject {
        var object = JSONObject()
        for (key, value) in pairs {
            switch object[key] {
            case nil: object[key] = .string(value)
            case .array(let list)?: object[key] = .array(list + [.string(value)])
            case let first?: object[key] = .array([first, .string(value)])
            }
        }
        if let id { object["id"] = .string(id) }
        return object
    }
}

/// Splits the value of an option at its commas; two of them are one that belongs to the value.
struct OptionTextReader {
    /// A piece: `key=value`, or only a value.
    struct Element: Equatable {
        var key: String?
        var value: String
    }

    private var rest: ArraySlice<UInt8>

    init(_ text: String) {
        rest = Array(text.utf8)[...]
    }

    /// The next piece; nil at the end, which one comma more doesn't move.
    mutating func next() -> Element? {
        guard !rest.isEmpty else { return nil }
        let length = rest.prefix { $0 != UInt8(ascii: "=") && $0 != UInt8(ascii: ",") }.count
        let end = rest.startIndex + length
        guard end < rest.endIndex, rest[end] == UInt8(ascii: "=") else {
            return Element(key: nil, value: value())
        }
        let key = String(decoding: rest[..<end], as: UTF8.self)
        rest = rest[(end + 1)...]
        return Element(key: key, value: value())
    }

    private mutating func value() -> String {
        var bytes: [UInt8] = []
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: ",") {
                guard rest.first == UInt8(ascii: ",") else { break }
                rest.removeFirst()
            }
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
