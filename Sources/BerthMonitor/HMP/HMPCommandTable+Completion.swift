/// What could stand where a line ends.
public struct HMPCompletion: Sendable, Equatable {
    /// The last word as it was typed; empty after a blank.
    public var word: String
    /// What begins with it, sorted, each once.
    public var candidates: [String]

    /// A completion with candidates that are sorted already.
    public init(word: String, candidates: [String]) {
        self.word = word
        self.candidates = candidates
    }

    /// What all candidates begin with; empty if there are none.
    public var commonPrefix: String {
        guard let first = candidates.first else { return "" }
        return candidates.dropFirst().reduce(first) { prefix, candidate in
            String(zip(prefix, candidate).prefix { $0 == $1 }.map(\.0))
        }
    }
}

extension HMPCompletion {
    /// The candidates in columns: as wide as the longest and two more, at least 10.
    ///
    /// - Parameters:
    ///   - width: how many characters fit on a line.
    ///   - end: what ends each line.
    public func columns(width: Int, end: String) -> String {
        let longest = candidates.map(\.count).max() ?? 0
        let column = min(max(longest + 2, 10), max(width, 1))
        let perLine = max(width / column, 1)
        var text = ""
        for (index, candidate) in candidates.enumerated() {
            text += candidate
            if index % perLine == perLine - 1 || index == candidates.count - 1 {
                text += end
            } else {
                text += String(repeating: " ", count: max(column - candidate.count, 1))
            }
        }
        return text
    }
}

extension HMPCommandTable {
    /// Finds what could stand where a line ends.
    ///
    /// - Parameter line: the line up to the cursor.
    public func completion(of line: String) -> HMPCompletion {
        guard var words = try? Self.words(of: line), words.count < Self.wordLimit else {
            return HMPCompletion(word: "", candidates: [])
        }
        var word = ""
        if let last = line.utf8.last, !HMPLexer.isBlank(last) {
            word = words.popLast() ?? ""
        }
        let found = candidates(after: words[...], among: commands)
        let candidates = Set(found.filter { $0.hasPrefix(word) }).sorted()
        return HMPCompletion(word: word, candidates: candidates)
    }

    private func candidates(
        after words: ArraySlice<String>,
        among level: [HMPCommand]
    ) -> [String] {
        guard let first = words.first else { return level.flatMap(\.names) }
        guard let command = level.first(where: { $0.names.contains(first) }) else { return [] }
        if command.names == HMPCommand.help.names {
            // The words after 'help' are those of a line, but arguments have no help of their own.
            return words.dropFirst().allSatisfy { word in
                level.contains { $0.names.contains(word) && !$0.subcommands.isEmpty }
            } ? candidates(after: words.dropFirst(), among: level) : []
        }
        guard command.subcommands.isEmpty else {
            return candidates(after: words.dropFirst(), among: command.subcommands)
        }
        return command.candidates(words.count - 1)
    }
}
