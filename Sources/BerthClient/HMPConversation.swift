internal import BerthMonitor

/// Lines to a human monitor.
final class HMPConversation: Conversation {
    let prompt = HMPClient.prompt
    private let client: HMPClient
    /// Completions by the words before them.
    private var known: [String: [String]] = [:]

    init(_ client: HMPClient) {
        self.client = client
    }

    var connection: MonitorConnection { client.connection }

    var greeting: String {
        VisibleText.lines(client.banner) + "\n'watch' shows a migration, 'exit' leaves"
    }

    func run(line: String, on output: any HMPConsole) throws(ClientError) -> Bool {
        let text = VisibleText.lines(try client.run(line))
        output.write(text)
        // An error is text like any other; monitors begin it with these words.
        return !text.hasPrefix("Error: ") && !text.hasPrefix("unknown command: ")
    }

    func run(words: [String], on output: any HMPConsole) throws(ClientError) -> Bool {
        try run(line: words.joined(separator: " "), on: output)
    }

    func takeNotices() throws(ClientError) -> String {
        VisibleText.lines(try client.takeInput())
    }

    func migrationProgress() throws(ClientError) -> MigrationProgress {
        MigrationProgress(information: try client.run("info migrate"))
    }

    func workloads() throws(ClientError) -> [WorkloadProgress] { [] }

    func completion(of line: String) -> HMPCompletion {
        var words = line.split(separator: " ").map(String.init)
        let word = line.last == " " ? "" : words.popLast() ?? ""
        let found: [String] =
            switch words {
            case []: names(in: "help", after: "") + ["exit", "watch"]
            case ["help"]: names(in: "help", after: "")
            case ["info"]: names(in: "help info", after: "info ")
            default: []
            }
        let candidates = Set(found.filter { $0.hasPrefix(word) }).sorted()
        return HMPCompletion(word: word, candidates: candidates)
    }

    /// The names in a list of help, in which each line is `NAME|NAME ARGUMENTS -- TEXT`.
    private func names(in command: String, after prefix: String) -> [String] {
        if let names = known[command] { return names }
        let text = (try? client.run(command)) ?? ""
        let names = VisibleText.lines(text).split(separator: "\n").flatMap { line -> [String] in
            guard line.hasPrefix(prefix), line.contains(" -- ") else { return [] }
            let first = line.dropFirst(prefix.count).prefix { $0 != " " }
            return first.split(separator: "|").map(String.init)
        }
        known[command] = names
        return names
    }
}
