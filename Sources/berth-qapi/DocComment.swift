/// What a doc comment says.
struct DocComment {
    /// Description of the entity, as paragraphs.
    var body: [String] = []
    /// Descriptions of members, arguments and values, in the order in which they stand.
    var members: [(name: String, text: String)] = []
    var features: [(name: String, text: String)] = []
    var returns: String?
    /// One for each condition.
    var errors: [String] = []
    /// QEMU release.
    var since: String?
    /// Lines of transcripts.
    var examples: [[String]] = []

    func member(_ name: String) -> String? {
        members.first { $0.name == name }?.text
    }

    /// Reads the lines of a comment.
    /// - Parameter symbol: the entity's name, which the comment must begin with.
    init(_ lines: [String], symbol: String, place: SourcePlace) throws(SchemaError) {
        guard lines.first == "@\(symbol):" else {
            throw SchemaError(place: place, message: "doc comment must begin with '@\(symbol):'")
        }
        var inFeatures = false
        for block in Self.blocks(lines.dropFirst()) {
            let first = block[0]
            if first == "Features:" {
                inFeatures = true
            } else if let text = Self.tail(of: first, after: "Returns: ") {
                returns = Self.joined([text] + block.dropFirst())
            } else if let text = Self.tail(of: first, after: "Since: ") {
                since = text
            } else if first == "Errors:" {
                errors = Self.bullets(block.dropFirst())
            } else if first == "Example:" {
                examples.append([])
            } else if first.hasPrefix("    "), let last = examples.indices.last {
                examples[last] += block.map { String($0.dropFirst(4)) }
            } else if first.hasPrefix("@"), let colon = first.firstIndex(of: ":") {
                let name = String(first[first.index(after: first.startIndex)..<colon])
                let text = Self.joined(
                    [String(first[first.index(after: colon)...])] + block.dropFirst()
                )
                if inFeatures {
                    features.append((name, text))
                } else {
                    members.append((name, text))
                }
            } else {
                body.append(Self.joined(block))
            }
        }
        guard !body.isEmpty else {
            throw SchemaError(place: place, message: "'\(symbol)' has no description")
        }
    }

    /// Lines between empty ones.
    private static func blocks(_ lines: ArraySlice<String>) -> [[String]] {
        lines.split { $0.isEmpty }.map(Array.init)
    }

    private static func tail(of line: String, after prefix: String) -> String? {
        line.hasPrefix(prefix) ? String(line.dropFirst(prefix.count)) : nil
    }

    /// One line made of several.
    private static func joined(_ lines: [String]) -> String {
        lines.map(trimmed).joined(separator: " ")
    }

    private static func trimmed(_ line: String) -> String {
        String(line.drop { $0 == " " })
    }

    private static func bullets(_ lines: ArraySlice<String>) -> [String] {
        var bullets: [String] = []
        for line in lines {
            let text = trimmed(line)
            if let item = tail(of: text, after: "- ") {
                bullets.append(item)
            } else if let last = bullets.indices.last {
                bullets[last] += " " + text
            }
        }
        return bullets
    }
}
