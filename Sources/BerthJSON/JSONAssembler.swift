/// Gathers tokens until they make up a message, and has the message turned into a value.
struct JSONAssembler {
    /// What a byte has led to.
    enum Outcome {
        case value(JSONValue)
        /// A byte that no token can hold, with what preceded it in its token.
        case stray(ArraySlice<UInt8>, offset: Int)
        case violation(JSONGrammar.Violation)
        case tooDeep
        case tooManyTokens
        case tooLong
    }

    let limits: JSONLimits
    private let dialect: JSONDialect
    private var lexer: JSONLexer
    private var message = JSONTokens()
    private var braces = 0
    private var brackets = 0
    /// Bytes taken so far.
    private var offset = 0

    init(_ dialect: JSONDialect, _ limits: JSONLimits) {
        self.dialect = dialect
        self.limits = limits
        lexer = JSONLexer(dialect)
    }

    /// Whether a token or a message has begun and isn't complete.
    var isInsideText: Bool { !lexer.isBetweenTokens || !message.tokens.isEmpty }

    /// Forgets what has been taken.
    mutating func reset() {
        lexer.reset()
        discard()
        offset = 0
    }

    /// Takes bytes until something has come out of them.
    ///
    /// - Parameters:
    ///   - bytes: the input.
    ///   - index: of the next byte; moves past what has been taken.
    /// - Returns: `nil` when all bytes are taken and nothing is complete.
    mutating func next(in bytes: [UInt8], at index: inout Int) -> Outcome? {
        while index < bytes.count {
            let byte = bytes[index]
            let wasBetweenTokens = lexer.isBetweenTokens
            let step = lexer.advance(byte)
            if case .tokenBefore(let kind) = step {
                if let outcome = finish(kind) { return outcome }
                continue
            }
            index += 1
            offset += 1
            if wasBetweenTokens { message.currentOffset = offset - 1 }
            switch step {
            case .more:
                guard !lexer.isBetweenTokens else { continue }
                message.text.append(byte)
                guard message.text.count <= limits.tokenByteCount else {
                    lexer.reset()
                    discard()
                    return .tooLong
                }
            case .token(let kind):
                message.text.append(byte)
                if let outcome = finish(kind) { return outcome }
            case .stray:
                message.text.append(byte)
                let token = message.text.suffix(message.currentByteCount)
                discard()
                return .stray(token, offset: offset - 1)
            case .tokenBefore: break
            }
        }
        return nil
    }

    /// Says that no more bytes come.
    ///
    /// - Returns: what became of the rest; `nil` if there was none but blanks.
    mutating func finish() -> Outcome? {
        if let kind = lexer.kindAtEnd {
            lexer.reset()
            if let outcome = finish(kind) { return outcome }
        } else if !lexer.isBetweenTokens {
            let token = message.text.suffix(message.currentByteCount)
            lexer.reset()
            discard()
            return .stray(token, offset: offset)
        }
        message.currentOffset = offset
        return message.tokens.isEmpty ? nil : complete()
    }

    private mutating func discard() {
        message.removeAll()
        braces = 0
        brackets = 0
    }

    private mutating func finish(_ kind: JSONToken.Kind) -> Outcome? {
        switch kind {
        case .openBrace: braces += 1
        case .closeBrace: braces -= 1
        case .openBracket: brackets += 1
        case .closeBracket: brackets -= 1
        default: break
        }
        guard message.text.count <= limits.tokenByteCount else {
            discard()
            return .tooLong
        }
        guard message.tokens.count < limits.tokenCount else {
            discard()
            return .tooManyTokens
        }
        guard braces + brackets <= limits.depth else {
            discard()
            return .tooDeep
        }
        message.finish(kind)
        // As long as something is open, unless more was closed than opened.
        if braces >= 0 && brackets >= 0 && (braces > 0 || brackets > 0) { return nil }
        return complete()
    }

    private mutating func complete() -> Outcome {
        defer { discard() }
        var grammar = JSONGrammar(message, dialect)
        do {
            try grammar.checkDocument()
        } catch {
            return .violation(error)
        }
        guard let value = JSONBuilder.build(grammar.output, deepest: grammar.deepest) else {
            return .violation(JSONGrammar.Violation("out of memory"))
        }
        return .value(value)
    }
}
