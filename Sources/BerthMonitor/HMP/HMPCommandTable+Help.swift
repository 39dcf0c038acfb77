internal import BerthQAPI

extension HMPCommandTable {
    /// Shows what commands there are and how they are written.
    ///
    /// - Parameters:
    ///   - words: none for all commands, one for a command, `info` for its subcommands, `info` and
    ///     a word for one of these. Words after a command without subcommands are ignored.
    ///   - console: where to show it.
    func writeHelp(for words: [String], to console: any HMPConsole) {
        var level = commands
        var prefix = ""
        for word in words {
            guard let command = level.first(where: { $0.names.contains(word) }) else {
                let typed = words.prefix(prefix.isEmpty ? 1 : 2).joined(separator: " ")
                console.writeLine("unknown command: '\(typed)'")
                return
            }
            guard !command.subcommands.isEmpty else {
                console.writeLine(command.helpText(prefix: prefix))
                return
            }
            prefix += word + " "
            level = command.subcommands
        }
        for command in level { console.writeLine(command.helpText(prefix: prefix)) }
    }
}

extension HMPCommand {
    fileprivate func helpText(prefix: String) -> String {
        let text = summary.split(separator: "\n").joined(separator: "\n\t\t\t ")
        return "\(prefix)\(title) \(usage) -- \(text)"
    }

    /// `help`, also on each command by itself.
    static let help = HMPCommand(
        "help",
        aliases: ["?"],
        parameters: [HMPParameter("cmd", .rest, isOptional: true)],
        summary: "show the help",
        action: { (invocation: HMPInvocation) async throws(QMPError) in
            let words = try HMPCommandTable.words(of: invocation.arguments.text("cmd"))
            invocation.table.writeHelp(for: words, to: invocation.console)
        }
    )

    /// `info history`.
    static let history = HMPCommand(
        "history",
        summary: "show the command line history",
        action: { (invocation: HMPInvocation) async throws(QMPError) in
            for (index, line) in (invocation.history?.lines ?? []).enumerated() {
                invocation.console.writeLine("\(index): '\(line)'")
            }
        }
    )
}

extension HMPCommandTable {
    /// How many words of a line `help` and completion look at, as in QEMU.
    static let wordLimit = 16

    /// The words of a text.
    static func words(of text: String) throws(QMPError) -> [String] {
        var lexer = HMPLexer(text)
        var words: [String] = []
        do throws(HMPSyntaxError) {
            while words.count < wordLimit, let word = try lexer.word() { words.append(word) }
        } catch {
            throw QMPError(error.lines[0])
        }
        return words
    }
}
