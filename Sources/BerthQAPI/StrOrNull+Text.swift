extension String {
    /// The text, or the empty one for null, which means the same.
    init(_ value: StrOrNull) {
        switch value {
        case .string(let text): self = text
        case .null: self = ""
        }
    }
}
