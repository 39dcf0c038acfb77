/// The commands of the human monitor, with `help` and `info` among them.
public struct HMPCommandTable: Sendable {
    /// All commands, sorted by name.
    let commands: [HMPCommand]

    /// Makes a table.
    ///
    /// - Parameters:
    ///   - commands: the commands, in any order, without `help` and `info`.
    ///   - information: what can follow `info`, without `history`.
    public init(_ commands: [HMPCommand], information: [HMPCommand]) {
        let info = HMPCommand(
            "info",
            usage: "[subcommand]",
            summary: "show something about the endpoint and its guest",
            subcommands: information + [.history]
        )
        self.commands = (commands + [info, .help]).sorted { $0.title < $1.title }
    }

    /// What a line turned out to be.
    enum Line {
        /// Nothing but blanks.
        case blank
        /// No command of this name, or of these words.
        case unknown(String)
        /// A command whose arguments are wrong; the lines say what to show.
        case malformed([String])
        /// A command to be run.
        case command(HMPCommand, HMPArguments)
    }

    /// Finds the command of a line and takes its arguments apart.
    func parse(_ line: String) -> Line {
        var lexer = HMPLexer(line)
        lexer.skipBlanks()
        guard !lexer.isAtEnd else { return .blank }
        let start = lexer.offset
        var candidates = commands
        while true {
            let name = lexer.run { HMPLexer.isBlank($0) || $0 == UInt8(ascii: "/") }
            guard let command = candidates.first(where: { $0.names.contains(name) }) else {
                return .unknown(lexer.text(from: start))
            }
            let nameEnd = lexer.offset
            lexer.skipBlanks()
            if !command.subcommands.isEmpty, !lexer.isAtEnd {
                candidates = command.subcommands
                continue
            }
            do throws(HMPSyntaxError) {
                return .command(command, try command.arguments(from: &lexer))
            } catch {
                let typed = lexer.text(from: start, to: nameEnd)
                return .malformed(error.lines + ["Try \"help \(typed)\" for more information"])
            }
        }
    }
}

extension HMPCommand {
    /// Takes the arguments that this command wants.
    func arguments(from lexer: inout HMPLexer) throws(HMPSyntaxError) -> HMPArguments {
        var arguments = HMPArguments()
        for (index, parameter) in parameters.enumerated() {
            lexer.skipBlanks()
            if parameter.letter != nil {
                let later = parameters[(index + 1)...].compactMap(\.letter)
                arguments[parameter.name] = try flag(parameter, later: later, from: &lexer)
            } else if !parameter.isOptional || !lexer.isAtEnd {
                arguments[parameter.name] = try value(of: parameter, from: &lexer)
            }
        }
        lexer.skipBlanks()
        guard lexer.isAtEnd else {
            throw HMPSyntaxError("\(title): extraneous characters at the end of line")
        }
        return arguments
    }

    /// A flag's value, if the flag is what comes next.
    private func flag(
        _ parameter: HMPParameter,
        later: [Character],
        from lexer: inout HMPLexer
    ) throws(HMPSyntaxError) -> HMPArguments.Value? {
        guard lexer.next == UInt8(ascii: "-") else { return nil }
        let start = lexer.offset
        lexer.skip()
        let typed = lexer.next.map { String(UnicodeScalar($0)) } ?? ""
        guard let letter = parameter.letter, typed == String(letter) else {
            guard later.contains(where: { String($0) == typed }) else {
                throw HMPSyntaxError("\(title): unsupported option -\(typed)")
            }
            lexer.rewind(to: start)
            return nil
        }
        lexer.skip()
        guard case .flagValue = parameter.kind else { return .flag(true) }
        return .text(try text(from: &lexer, expecting: "value expected for -\(letter)"))
    }

    private func text(
        from lexer: inout HMPLexer,
        expecting message: String
    ) throws(HMPSyntaxError) -> String {
        do throws(HMPSyntaxError) {
            if let word = try lexer.word() { return word }
        } catch {
            throw HMPSyntaxError(error.lines[0], "\(title): \(message)")
        }
        throw HMPSyntaxError("\(title): \(message)")
    }

    private func value(
        of parameter: HMPParameter,
        from lexer: inout HMPLexer
    ) throws(HMPSyntaxError) -> HMPArguments.Value? {
        switch parameter.kind {
        case .word:
            return .text(try text(from: &lexer, expecting: "string expected"))
        case .rest:
            guard !lexer.isAtEnd else { throw HMPSyntaxError("\(title): string expected") }
            return .text(lexer.rest())
        case .int32:
            let value = try lexer.expression()
            guard UInt32(exactly: value) != nil else {
                throw HMPSyntaxError("'\(title)' has failed: integer is for 32-bit values")
            }
            return .integer(value)
        case .int64:
            return .integer(try lexer.expression())
        case .mebibytes:
            let (bytes, overflow) = try lexer.expression().multipliedReportingOverflow(by: 1 << 20)
            guard bytes >= 0, !overflow else { throw HMPSyntaxError("enter a positive value") }
            return .integer(bytes)
        case .size:
            guard let bytes = HMPSize.mebibytes(lexer.run()) else {
                throw HMPSyntaxError("invalid size")
            }
            return .integer(bytes)
        case .onOff:
            switch lexer.run() {
            case "on": return .flag(true)
            case "off": return .flag(false)
            default: throw HMPSyntaxError("Expected 'on' or 'off'")
            }
        case .flag, .flagValue:
            return nil
        }
    }
}
