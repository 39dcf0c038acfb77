internal import BerthJSON

/// A command as it is typed: `command key=value key.sub=value ...`.
struct QMPLine: Equatable {
    var command: String
    var arguments: JSONObject = [:]

    /// Objects inside one another that a key such as `a.b.c` may make.
    private static let depthLimit = 32

    /// Makes a command of its words.
    ///
    /// A value is JSON if it can be read as such, else the text itself.
    ///
    /// - Throws: `ClientError` for a word without `=`, or keys that contradict one another.
    init(words: [String]) throws(ClientError) {
        guard let first = words.first else { throw .badLine("there is no command") }
        command = first
        for word in words.dropFirst() {
            guard let sign = word.firstIndex(of: "="), sign != word.startIndex else {
                throw .badLine(
                    "cannot send '\(command)': '\(word)' is no key=value",
                    hint: "text with blanks goes in quotes: key=\"some text\""
                )
            }
            let path = word[..<sign].split(separator: ".", omittingEmptySubsequences: false)
            guard path.count <= Self.depthLimit else {
                throw .badLine(
                    "cannot send '\(command)': a key has \(path.count) parts, at most "
                        + "\(Self.depthLimit) make sense"
                )
            }
            let text = String(word[word.index(after: sign)...])
            let value = (try? parseQMPText(text)) ?? .string(text)
            guard Self.set(value, at: path[...], in: &arguments) else {
                throw .badLine("cannot send '\(command)': '\(word[..<sign])' has two values")
            }
        }
    }

    /// - Returns: false when there is something else at this place already.
    private static func set(
        _ value: JSONValue,
        at path: ArraySlice<Substring>,
        in object: inout JSONObject
    ) -> Bool {
        guard let first = path.first else { return false }
        let key = String(first)
        guard path.count > 1 else {
            guard object[key] == nil else { return false }
            object[key] = value
            return true
        }
        var inner: JSONObject = [:]
        switch object[key] {
        case nil: break
        case .object(let present): inner = present
        default: return false
        }
        guard set(value, at: path.dropFirst(), in: &inner) else { return false }
        object[key] = .object(inner)
        return true
    }

    /// Cuts a line at its blanks, but not inside quotes or brackets.
    ///
    /// - Throws: `ClientError` for a quote or bracket that stays open.
    static func words(of line: String) throws(ClientError) -> [String] {
        var words: [String] = []
        var word = ""
        var quote: Character?
        var isEscaped = false
        var depth = 0
        for character in line {
            if let open = quote {
                if isEscaped {
                    isEscaped = false
                } else if character == "\\" {
                    isEscaped = true
                } else if character == open {
                    quote = nil
                }
            } else if character == "\"" || character == "'" {
                quote = character
            } else if character == "{" || character == "[" {
                depth += 1
            } else if character == "}" || character == "]" {
                depth -= 1
            } else if character == " " || character == "\t", depth <= 0 {
                if !word.isEmpty { words.append(word) }
                word = ""
                continue
            }
            word.append(character)
        }
        guard quote == nil, depth == 0 else {
            throw .badLine("cannot send the line: a quote or bracket stays open")
        }
        if !word.isEmpty { words.append(word) }
        return words
    }
}
