public import BerthQAPI

/// A command of the human monitor: how it is written, what it is for and what it does.
public struct HMPCommand: Sendable {
    /// What it does; a thrown error is shown, with its hint on a line of its own.
    public typealias Action = @Sendable (HMPInvocation) async throws(QMPError) -> Void

    /// Its names; the first is the one that it is listed under.
    public let names: [String]
    /// Its arguments, in order.
    public let parameters: [HMPParameter]
    /// Its arguments as `help` shows them.
    public let usage: String
    /// What it is for; further lines are shown indented.
    public let summary: String
    /// Whether the session is over when it has succeeded.
    public let endsSession: Bool
    /// The commands that follow its name, for `info`.
    let subcommands: [HMPCommand]
    /// What may stand as the argument of this index.
    let candidates: @Sendable (_ index: Int) -> [String]
    let action: Action

    /// Declares a command.
    ///
    /// - Parameters:
    ///   - name: the name that it is listed under.
    ///   - aliases: its other names.
    ///   - parameters: its arguments, in the order in which they are written.
    ///   - usage: shown by `help` instead of the parameters' names.
    ///   - summary: what it is for.
    ///   - endsSession: whether the session is over when it has succeeded.
    ///   - candidates: what completion offers for the argument of an index, from 0 on.
    ///   - action: what it does.
    public init(
        _ name: String,
        aliases: [String] = [],
        parameters: [HMPParameter] = [],
        usage: String? = nil,
        summary: String,
        endsSession: Bool = false,
        candidates: @escaping @Sendable (_ index: Int) -> [String] = { _ in [] },
        action: @escaping Action
    ) {
        names = [name] + aliases
        self.parameters = parameters
        self.usage = usage ?? parameters.map(\.usage).joined(separator: " ")
        self.summary = summary
        self.endsSession = endsSession
        self.candidates = candidates
        self.action = action
        subcommands = []
    }

    /// Declares a command whose name is followed by that of one of its own.
    init(_ name: String, usage: String, summary: String, subcommands: [HMPCommand]) {
        names = [name]
        parameters = []
        self.usage = usage
        self.summary = summary
        endsSession = false
        self.subcommands = subcommands.sorted { $0.title < $1.title }
        candidates = { _ in [] }
        action = { (invocation: HMPInvocation) async throws(QMPError) in
            invocation.table.writeHelp(for: [name], to: invocation.console)
        }
    }

    /// All of its names, as messages and `help` show them.
    var title: String { names.joined(separator: "|") }
}

/// What a command works with.
public struct HMPInvocation: Sendable {
    /// The values of its arguments.
    public let arguments: HMPArguments
    /// Where its output goes.
    public let console: any HMPConsole
    /// The monitor on which it was typed.
    public let monitor: MonitorContext
    /// All commands.
    let table: HMPCommandTable
    /// What was typed before; nil where nobody types.
    let history: HMPHistory?
}
