internal import BerthMonitor
internal import BerthSystem
internal import Glibc

/// A console to a monitor: what `berth monitor` does.
///
/// All of it happens on the thread that calls it.
final class ConsoleSession {
    private enum Outcome {
        case succeeded
        case failed
        case exit
    }

    private let conversation: any Conversation
    private let output: any HMPConsole
    private let reportError: (String) -> Void
    /// Whether the last line asked the endpoint to end, which isn't an error then.
    private var expectsEnd = false

    /// Connects, and finds out what kind of monitor it is.
    ///
    /// - Parameters:
    ///   - connection: to a monitor of either kind.
    ///   - output: where answers are shown.
    ///   - reportError: shows an error of the console itself; gets one line without its end.
    /// - Throws: `ClientError` when it is no monitor.
    @available(*, noasync, message: "blocks its thread")
    init(
        _ connection: MonitorConnection,
        output: any HMPConsole,
        reportError: @escaping (String) -> Void
    ) throws(ClientError) {
        self.output = output
        self.reportError = reportError
        conversation =
            try connection.peekGreeting() == UInt8(ascii: "{")
            ? QMPConversation(QMPClient(connection)) : HMPConversation(HMPClient(connection))
    }

    /// Runs one command, cut into words by a shell; a single word is a whole line.
    ///
    /// - Returns: the exit status: 0, or 1 when anything went wrong.
    @available(*, noasync, message: "blocks its thread")
    func run(words: [String], input: CInt) -> CInt {
        let outcome =
            words.count == 1
            ? perform(words[0], input: input)
            : guarded { () throws(ClientError) in
                if words.first == "watch" { return try watch(words.dropFirst(), input: input) }
                expectsEnd = Self.isQuit(words)
                return try conversation.run(words: words, on: output)
            }
        return outcome == .failed ? 1 : 0
    }

    /// Runs the lines of a file or pipe, all of them even if one fails.
    ///
    /// - Returns: the exit status: 0, or 1 when anything went wrong.
    @available(*, noasync, message: "blocks its thread")
    func run(linesOf input: CInt) -> CInt {
        var status: CInt = 0
        var lines = InputLines(input)
        while let line = lines.next() {
            let outcome = perform(line, input: input)
            showNotices()
            if outcome == .failed { status = 1 }
            if outcome == .exit || isOver { break }
        }
        if lines.isTooLong {
            reportError("a line of the input is longer than \(InputLines.byteLimit) bytes")
            status = 1
        }
        return status
    }

    /// Talks with a person at a terminal.
    ///
    /// - Returns: the exit status: 0 when the person left or ended the endpoint, 1 when it has gone.
    @available(*, noasync, message: "blocks its thread")
    func run(terminal: TerminalConsole, input: CInt) -> CInt {
        output.writeLine(conversation.greeting)
        var editing = LineEditing(prompt: conversation.prompt, history: HMPHistory()) {
            [conversation] in conversation.completion(of: $0)
        }
        editing.endsAtEndOfFile = true
        editing.clearsLineAtInterrupt = true
        editing.watched = (
            conversation.connection.raw,
            { [conversation] in
                guard let text = try? conversation.takeNotices() else { return .end }
                return text.isEmpty ? .nothing : .notice(text)
            }
        )
        guard let stopping = try? WakeEvent(),
            let editor = LineEditor(
                input: input,
                console: terminal,
                editing: editing,
                stopping: stopping
            )
        else {
            reportError("this terminal cannot be used for editing lines")
            return 1
        }
        while !isOver {
            showNotices()
            guard !isOver, let line = editor.readLine() else { break }
            editing.history?.add(line)
            if perform(line, input: input) == .exit { return 0 }
        }
        // Left with ^D, or the other side has gone: then there is an end to be read.
        output.writeLine("")
        showNotices()
        return isOver && !expectsEnd ? 1 : 0
    }

    /// Whether the session is broken; that was reported then.
    private var isOver = false

    private func perform(_ line: String, input: CInt) -> Outcome {
        let words = line.split(separator: " ").map(String.init)
        switch words.first {
        case nil: return .succeeded
        case "exit" where words.count == 1: return .exit
        case "watch":
            return guarded { () throws(ClientError) in
                try watch(words.dropFirst(), input: input)
            }
        default:
            expectsEnd = Self.isQuit(words)
            return guarded { () throws(ClientError) in
                try conversation.run(line: line, on: output)
            }
        }
    }

    private func watch(_ words: ArraySlice<String>, input: CInt) throws(ClientError) -> Bool {
        let interval = try Watch.interval(words)
        return try Watch(conversation, output: output, input: input, interval: interval).run()
    }

    private static func isQuit(_ words: [String]) -> Bool {
        let words = words.first == "hmp" ? words.dropFirst() : words[...]
        // In JSON it is a word with quotes and perhaps more.
        return words == ["quit"] || words == ["q"] || words.joined().contains("\"quit\"")
    }

    private func showNotices() {
        guard !isOver else { return }
        _ = guarded { () throws(ClientError) in
            output.write(try conversation.takeNotices())
            return true
        }
    }

    private func guarded(_ body: () throws(ClientError) -> Bool) -> Outcome {
        do throws(ClientError) {
            return try body() ? .succeeded : .failed
        } catch {
            if error.kind == .broken {
                isOver = true
                if expectsEnd {
                    return .succeeded
                }
            }
            reportError(error.message + (error.hint.map { " (\($0))" } ?? ""))
            return .failed
        }
    }
}
