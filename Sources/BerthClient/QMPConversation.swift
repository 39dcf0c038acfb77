internal import BerthJSON
internal import BerthMonitor

/// Lines to a QMP monitor.
final class QMPConversation: Conversation {
    let prompt = "(qmp) "
    private let client: QMPClient
    private var knownCommands: CommandIndex?
    private var knownSchema: CommandIndex?
    /// Whether the other side has `x-query-workload`; nil before it was asked.
    private var hasWorkloads: Bool?

    init(_ client: QMPClient) {
        self.client = client
    }

    var connection: MonitorConnection { client.connection }

    var greeting: String {
        "QMP \(client.version): 'help' lists the commands, 'watch' shows a migration, "
            + "'exit' leaves"
    }

    func run(line: String, on output: any HMPConsole) throws(ClientError) -> Bool {
        let text = String(line.drop { $0 == " " || $0 == "\t" })
        // A list is no request either, but surely no command.
        if text.hasPrefix("{") || text.hasPrefix("[") { return try run(json: text, on: output) }
        if text == "hmp" || text.hasPrefix("hmp ") {
            return try runHuman(String(text.dropFirst(4)), on: output)
        }
        return try run(words: QMPLine.words(of: text), on: output)
    }

    func run(words: [String], on output: any HMPConsole) throws(ClientError) -> Bool {
        switch words.first {
        case "help": return try help(words.dropFirst(), on: output)
        case "hmp": return try runHuman(words.dropFirst().joined(separator: " "), on: output)
        default:
            let line = try QMPLine(words: words)
            return show(try client.execute(line.command, line.arguments), on: output)
        }
    }

    private func run(json text: String, on output: any HMPConsole) throws(ClientError) -> Bool {
        let value: JSONValue
        do {
            value = try parseQMPText(text)
        } catch {
            throw .badLine("cannot send the line: \(error)")
        }
        guard value.objectValue != nil else {
            throw .badLine("cannot send the line: it is no JSON object")
        }
        return show(try client.send(raw: text), on: output)
    }

    private func runHuman(
        _ line: String,
        on output: any HMPConsole
    ) throws(ClientError) -> Bool {
        let reply = try client.execute("human-monitor-command", ["command-line": .string(line)])
        guard case .success(.string(let text)) = reply else { return show(reply, on: output) }
        let shown = VisibleText.lines(text)
        output.write(shown)
        // As a script would see it: text of the human monitor is all there is to tell by.
        return !shown.hasPrefix("Error: ") && !shown.hasPrefix("unknown command: ")
    }

    private func show(_ reply: QMPClient.Reply, on output: any HMPConsole) -> Bool {
        switch reply {
        case .success(.object(let members)) where members.isEmpty: output.writeLine("{}")
        case .success(.array(let elements)) where elements.isEmpty: output.writeLine("[]")
        case .success(let value):
            output.writeLine(VisibleText.lines(value.serialized(pretty: true)))
        case .failure(let errorClass, let desc):
            output.writeLine(VisibleText.line("Error: \(errorClass): \(desc)"))
            return false
        }
        return true
    }

    func takeNotices() throws(ClientError) -> String {
        try client.takeEvents().map { event in
            let name = event["event"]?.stringValue ?? ""
            let data = event["data"].map { " " + $0.serialized() } ?? ""
            return VisibleText.line("event: \(name)\(data)") + "\n"
        }.joined()
    }

    func migrationProgress() throws(ClientError) -> MigrationProgress {
        switch try client.execute("query-migrate") {
        case .success(let answer): return MigrationProgress(answer)
        case .failure(_, let desc): throw .badLine("cannot watch: query-migrate says: \(desc)")
        }
    }

    func workloads() throws(ClientError) -> [WorkloadProgress] {
        guard hasWorkloads != false else { return [] }
        switch try client.execute("x-query-workload") {
        case .success(let answer):
            hasWorkloads = true
            return (answer.arrayValue ?? []).compactMap(WorkloadProgress.init)
        case .failure(let errorClass, _):
            if errorClass == "CommandNotFound" { hasWorkloads = false }
            return []
        }
    }
}

// MARK: - What the other side knows

extension QMPConversation {
    /// Commands of the console itself.
    static let ownCommands = ["exit", "help", "hmp", "watch"]

    private func commands() throws(ClientError) -> CommandIndex {
        if let known = knownSchema ?? knownCommands { return known }
        guard case .success(let answer) = try client.execute("query-commands") else {
            return CommandIndex(commands: [])
        }
        let names = (answer.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
        let index = CommandIndex(commands: names.map(VisibleText.line))
        knownCommands = index
        return index
    }

    private func schema() throws(ClientError) -> CommandIndex {
        if let knownSchema { return knownSchema }
        guard case .success(let answer) = try client.execute("query-qmp-schema") else {
            return CommandIndex(commands: [])
        }
        let index = CommandIndex(schema: answer)
        knownSchema = index
        return index
    }

    private func help(
        _ words: ArraySlice<String>,
        on output: any HMPConsole
    ) throws(ClientError) -> Bool {
        guard let command = words.first else {
            let names = try commands().commands
            let list = HMPCompletion(word: "", candidates: names)
            output.write(list.columns(width: output.columnCount, end: "\n"))
            output.write(
                """

                COMMAND key=value ...  run a command; values are JSON, or else text; key.sub=value nests
                {"execute": ...}       send JSON as it is
                hmp LINE               run a line of the human monitor
                help COMMAND           show a command's arguments
                watch [SECONDS]        show a migration until it ends; q ends the view
                exit, ^D               leave; the endpoint goes on


                """
            )
            return true
        }
        guard let text = try schema().help(for: command) else {
            output.writeLine("Error: there is no command '\(VisibleText.line(command))'")
            return false
        }
        output.write(text)
        return true
    }

    func completion(of line: String) -> HMPCompletion {
        var words = line.split(separator: " ")
        let word = line.last == " " ? "" : words.popLast().map(String.init) ?? ""
        let found: [String]? =
            switch words.first {
            case nil: (try? commands()).map { $0.commands + Self.ownCommands }
            case "help": words.count == 1 ? try? commands().commands : nil
            case let command?:
                try? schema().candidates(
                    command: String(command),
                    words: Array(words.dropFirst()),
                    word: word
                )
            }
        let candidates = Set(found ?? []).filter { $0.hasPrefix(word) }.map(VisibleText.line)
        return HMPCompletion(word: word, candidates: candidates.sorted())
    }
}
