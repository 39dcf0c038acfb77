internal import BerthSystem
internal import Glibc

/// A program that the bytes of a channel go through on their way from or to a file.
struct FilterProgram: Sendable {
    /// Its name, without a folder.
    let name: String
    /// What is done to the file: `read` or `write`.
    let operation: String
    /// What it says about it.
    let messages: ProgramMessages

    /// What most messages call a file that has no name for the program.
    private static let unnamed = ["/*stdin*\\", "(stdin)", "<stdin>", "stdin"]

    /// Characters of a message that are passed on.
    private static let messageLimit = 200

    /// The failure of the program: in its own words, if it had any.
    func failure(_ status: ChildProcess.ExitStatus, _ path: String) -> TransportError {
        let said = message
        let reason =
            switch status {
            case .signalled(let number): "\(name) was killed by signal \(number)"
            case .exited where !said.isEmpty: "\(name): \(said)"
            case .exited(code: 0): "\(name) ended before it had read everything"
            case .exited(let code): "\(name) exited with status \(code)"
            }
        return .ofProgram(operation, path, reason: reason)
    }

    /// The first thing that the program said by its name, or at all: what follows is advice.
    private var message: String {
        let lines = messages.text.split(whereSeparator: \.isNewline).map { trimmed($0) }
            .filter { !$0.isEmpty }
        let start = "\(name): "
        // Some call themselves by the path that they were started by.
        let own = lines.first { $0.contains(start) }.flatMap { line in
            line.ranges(of: start).first.map { trimmed(line[$0.upperBound...]) }
        }
        var text = own ?? lines.first ?? ""
        for word in Self.unnamed where text.hasPrefix(word) {
            let rest = trimmed(text.dropFirst(word.count))
            if rest.hasPrefix(":") { text = trimmed(rest.dropFirst()) }
        }
        text = text.replacing(" : ", with: ": ")
        while let last = text.last, ".;,".contains(last) { text.removeLast() }
        return TransportError.lowerCased(String(text.prefix(Self.messageLimit)))
    }

    private func trimmed(_ text: some StringProtocol) -> String {
        let rest = text.drop(while: \.isWhitespace)
        return String(rest.reversed().drop(while: \.isWhitespace).reversed())
    }
}
