/// An argument that a command of the human monitor takes.
///
/// The kinds are those of QEMU's command tables; the letter of each is named with it.
public struct HMPParameter: Sendable, Equatable {
    /// How the argument is written.
    public enum Kind: Sendable, Equatable {
        /// A word, or a text in double quotes (`s`).
        case word
        /// All that is left of the line (`S`).
        case rest
        /// An expression whose value fits 32 bits (`i`).
        case int32
        /// An expression of 64 bits (`l`).
        case int64
        /// An expression that counts MiB (`M`); its value is in bytes.
        case mebibytes
        /// A number with a suffix; without one it counts MiB (`o`). Its value is in bytes.
        case size
        /// `on` or `off` (`b`).
        case onOff
        /// A letter after a dash, or nothing (`-x`).
        case flag(Character)
        /// A letter after a dash and a word, or nothing (`-xs`).
        case flagValue(Character)
    }

    /// What its value is found under.
    public let name: String
    /// How it is written.
    public let kind: Kind
    /// Whether it may be left out at the end of the line; flags may always.
    public let isOptional: Bool

    /// Declares an argument.
    public init(_ name: String, _ kind: Kind, isOptional: Bool = false) {
        self.name = name
        self.kind = kind
        self.isOptional = isOptional
    }

    /// The argument as `help` shows it.
    var usage: String {
        switch kind {
        case .flag(let letter): "[-\(letter)]"
        case .flagValue(let letter): "[-\(letter) \(name)]"
        default: isOptional ? "[\(name)]" : name
        }
    }

    /// The letter of a flag.
    var letter: Character? {
        switch kind {
        case .flag(let letter), .flagValue(let letter): letter
        default: nil
        }
    }
}

/// The values of a command's arguments, by name.
public struct HMPArguments: Sendable, Equatable {
    enum Value: Sendable, Equatable {
        case text(String)
        case integer(Int64)
        case flag(Bool)
    }

    private var values: [String: Value] = [:]

    subscript(_ name: String) -> Value? {
        get { values[name] }
        set { values[name] = newValue }
    }

    /// Whether the argument was given.
    public func has(_ name: String) -> Bool { values[name] != nil }

    /// The value of a word, or of the rest of the line; empty if it was left out.
    public func text(_ name: String) -> String {
        if case .text(let text)? = values[name] { text } else { "" }
    }

    /// The value of an expression or size; nil if it was left out.
    public func integer(_ name: String) -> Int64? {
        if case .integer(let number)? = values[name] { number } else { nil }
    }

    /// Whether a flag was given, or `on` written.
    public func isOn(_ name: String) -> Bool { values[name] == .flag(true) }
}
