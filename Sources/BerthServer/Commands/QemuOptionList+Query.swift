import BerthQAPI

extension QemuOptionList {
    /// The options that `query-command-line-options` describes: those of the older grammar.
    private static let described = [
        name, memory, object, numa, accelerator, messages, monitor, sandbox, addedDescriptor,
        action, global, overcommit, runWith, characterDevice,
    ]

    /// Describes one option, or all.
    ///
    /// - Throws: `QMPError` for an option that isn't described.
    static func describe(_ option: String?) throws(QMPError) -> [CommandLineOptionInfo] {
        let chosen = described.filter { option == nil || $0.name == option }
        if let option, chosen.isEmpty {
            throw QMPError("invalid option name: \(option)")
        }
        return chosen.map { list in
            CommandLineOptionInfo(
                parameters: (list.keys ?? []).map {
                    CommandLineParameterInfo(name: $0.name, type: $0.kind.shown)
                },
                option: list.name
            )
        }
    }
}

extension QemuOptionList.Kind {
    fileprivate var shown: CommandLineParameterType {
        switch self {
        case .string: .string
        case .boolean: .boolean
        case .number: .number
        case .size: .size
        }
    }
}
