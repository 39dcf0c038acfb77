public import BerthJSON

/// What the schema says of something that can be set, such as a migration parameter.
public struct SettingInfo: Sendable, Equatable {
    /// What values look like.
    public enum Kind: Sendable, Equatable {
        /// true or false.
        case boolean
        /// A number below 2 to the power of `bits`.
        case integer(bits: Int)
        /// A number of bytes, or what is treated as one.
        case size
        /// A text.
        case text
        /// One of these names.
        case choice([String])
        /// More than a scalar: only QMP can set it.
        case structured
    }

    /// Name in QMP.
    public let name: String
    /// What values look like.
    public let kind: Kind
    /// Its value when the endpoint starts; nil if it has none then.
    public let defaultValue: JSONValue?
    /// The smallest value, if the type allows smaller ones.
    public let minimum: UInt64?
    /// The largest value, if the type allows larger ones.
    public let maximum: UInt64?
    /// Unit of the number.
    public let unit: String?
    /// Whether it may change or vanish.
    public let isUnstable: Bool
    /// What it is for.
    public let summary: String

    init(
        name: String,
        kind: Kind,
        defaultValue: JSONValue? = nil,
        minimum: UInt64? = nil,
        maximum: UInt64? = nil,
        unit: String? = nil,
        isUnstable: Bool = false,
        summary: String
    ) {
        self.name = name
        self.kind = kind
        self.defaultValue = defaultValue
        self.minimum = minimum
        self.maximum = maximum
        self.unit = unit
        self.isUnstable = isUnstable
        self.summary = summary
    }
}

/// Checks a value that is there against the schema's bounds.
///
/// The name is written as QEMU writes it in these messages, with underscores.
func checkRange<Value: FixedWidthInteger>(
    _ value: Value?,
    _ name: String,
    _ minimum: UInt64?,
    _ maximum: UInt64?
) throws(QMPError) {
    guard let value else { return }
    guard value < minimum ?? 0 || value > maximum ?? .max else { return }
    let shown = String(name.map { $0 == "-" ? "_" : $0 })
    switch (minimum, maximum) {
    case (let minimum?, let maximum?):
        throw QMPError("Parameter '\(shown)' expects a value between \(minimum) and \(maximum)")
    case (let minimum?, nil):
        throw QMPError("Parameter '\(shown)' expects a value of at least \(minimum)")
    case (nil, let maximum?):
        throw QMPError("Parameter '\(shown)' expects a value of at most \(maximum)")
    case (nil, nil):
        break
    }
}
