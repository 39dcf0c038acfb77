public import BerthJSON

/// The interface as a whole: its commands, and how it describes itself.
public enum QMPSchema {
    private static let index: [String: CommandInfo] = Dictionary(
        commands.map { ($0.name, $0) },
        uniquingKeysWith: { first, _ in first }
    )

    /// The command of this name, if there is one.
    public static func command(named name: String) -> CommandInfo? { index[name] }

    /// The reply to `query-commands`.
    public static func commandList() -> JSONValue {
        .array(commands.map { .object(["name": .string($0.name)]) })
    }
}
